"""Builds the model: data -> baseline -> model -> proof -> bundle, one file per stage of dvc.yaml."""
