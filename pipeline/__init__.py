"""From data to a proven bundle: each file here is one stage of dvc.yaml."""
