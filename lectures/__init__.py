"""The worked examples of the lectures, run with this pipeline, beside the published figures."""
