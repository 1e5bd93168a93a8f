"""One file per architecture, named as in params.yaml: `build(input_shape, num_classes) -> keras.Model`.

Every model takes `image`, raw pixels (N, H, W, C) from 0 to 255, and gives `probabilities` (N, num_classes): scaling is
inside, so that a device hands over the bytes its camera gave.
"""
