"""The integer C compared with TensorFlow Lite Micro: the oracle, and random networks."""
