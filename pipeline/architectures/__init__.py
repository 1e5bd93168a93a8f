"""One file per architecture, named as in params.yaml: `build(inputs, num_classes, network) -> keras.Model`.

Every model takes `image`, raw pixels (N, H, W, C) from 0 to 255, and gives `probabilities` (N, num_classes): scaling is
inside, so that a device hands over the bytes its camera gave. `network` is `train.network` of params.yaml; what that leaves
open (null) is the architecture's own.
"""
