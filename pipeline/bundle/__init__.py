"""What goes into the bundle, and how it is packed."""
