"""MLflow: where its runs are kept, what a run holds, and the registry of models."""
