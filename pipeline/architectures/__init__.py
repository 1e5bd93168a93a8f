"""One file per architecture, named as in params.yaml: `build(inputs, num_classes, network) -> keras.Model`.

Every model takes `image`, raw pixels (N, H, W, C) from 0 to 255, and gives `probabilities` (N, num_classes): scaling is
inside, so that a device hands over the bytes its camera gave. A model of ids takes them raw too, (N, L) int32, and its input
is called `image` as well: every client, bundle and server knows that one name, and the model card tells what it holds.
`network` is `train.network` of params.yaml; what that leaves
open (null) is the architecture's own.

Advice and errors know an architecture by its constants: `INPUT`, "pixels" or "ids", and where they hold, `CONVOLUTIONAL = True`, a
convolution network with batch normalization of its own, and `OWN_DROPOUT = True`.
"""
