"""One file per export format, named as in params.yaml.

Each has a `SUFFIX` and `convert(model, calibration) -> bytes`.

`model` is the trained keras.Model; `calibration` holds raw inputs (N, ...) of the training set, as
their kind in pipeline/inputs prepares them: images (N, H, W, C) uint8, for example. Every file
takes `image` of the type of `calibration`, and returns `probabilities`, float32.
"""
