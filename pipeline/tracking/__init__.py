"""MLflow: the store of its runs, the contents of a run, and the model registry."""
