"""One file per export format, named as in params.yaml: `SUFFIX` and `convert(model, calibration) -> bytes`.

`model` is the trained keras.Model; `calibration` are images (N, H, W, C) uint8 of p-training. Every file takes `image`,
raw uint8 pixels, and gives `probabilities`, float32.
"""
