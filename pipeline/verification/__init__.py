"""How files are compared with the Keras model: on which images, on this processor, and on emulated ones."""
