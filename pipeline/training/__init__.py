"""Training of a network: its input, compilation, fitting, checkpoints and files."""
