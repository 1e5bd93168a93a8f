"""What is wrong with a training, in words: pure rules over its curves, its layers and its data."""
