"""One file per export format, named as in params.yaml.

Each has a `SUFFIX` and `convert(model, calibration) -> bytes`.

`model` is the trained keras.Model; `calibration` holds images (N, H, W, C) uint8, or ids (N, L)
int32, of the training set. Every file takes `image`, raw uint8 pixels or raw int32 ids, and returns
`probabilities`, float32.
"""
