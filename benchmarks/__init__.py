"""Measurements behind the figures in the documentation, such as `make seeds` and `make compare`."""
