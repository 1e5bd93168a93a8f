"""The configuration: params.yaml as typed, frozen objects, and overrides of single keys."""
