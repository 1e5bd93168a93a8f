"""The contents of the bundle, and how it is packed."""
