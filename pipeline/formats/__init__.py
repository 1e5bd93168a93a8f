"""One file per export format, named as in params.yaml: `SUFFIX` and `convert(model, calibration) -> bytes`.

`model` is the trained keras.Model; `calibration` are images (N, H, W, C) uint8, or ids (N, L) int32, of p-training. Every
file takes `image`, raw uint8 pixels or raw int32 ids, and gives `probabilities`, float32.
"""
