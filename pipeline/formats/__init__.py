"""One file per export format, named as in params.yaml.

Each has a `SUFFIX` and `convert(model, calibration) -> bytes`. `MICRO = True` says that TensorFlow
Lite Micro runs it, so that `embed.format` may name it.

`model` is the trained keras.Model; `calibration` holds raw inputs (N, ...) of the training set, as
their kind in pipeline/inputs prepares them: images (N, H, W, C) uint8, for example. Every file
takes `image` of the type of `calibration`, and returns `probabilities`, float32.
"""
