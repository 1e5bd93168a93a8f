"""Comparison of exported files with the Keras model, on this processor and on emulated ones."""
