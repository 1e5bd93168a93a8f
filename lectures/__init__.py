"""The worked examples of the lectures, run again by the line's own code, with the published figures beside ours."""
