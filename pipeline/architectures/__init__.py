"""One file per architecture, named as in params.yaml.

Each has `build(inputs, num_classes, network) -> keras.Model`.

Every model takes `image`, raw pixels (N, H, W, C) from 0 to 255, and returns `probabilities`
(N, num_classes). Scaling is part of the model, so a device passes the bytes of its camera. Other
kinds of input are raw too, such as ids (N, L) int32. Their input is also called `image`: that is
the one name every client, bundle and server uses, and the model card says what the input holds.

`network` is `train.network` of params.yaml; the architecture chooses the values that are null.

Advice and errors read constants of the module: `INPUT` names the kind of input, a module of
pipeline/inputs; the others are set only if true: `CONVOLUTIONAL` (a convolutional network with its
own batch normalization), `OWN_DROPOUT`, and `WEIGHTS`: of a published network, whose weights
`pretrained(inputs, network, file)` provides, see `_backbone`, what they are and their licence.
"""
