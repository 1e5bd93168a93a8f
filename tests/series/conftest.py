"""Waves of two classes, and a request to the server with a series."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pipeline.files.artifacts import Array

BODY = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 2]}]}


def waves(count: int = 60, seed: int = 0) -> tuple[Array, Array]:
    """Two frequencies in two channels whose scales differ, with random phases."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    steps = np.arange(40) / 40 * 2 * np.pi
    phases = rng.uniform(0, 2 * np.pi, (count, 1))
    wave = np.sin(steps * (2 + 3 * labels[:, None]) + phases)
    noise = rng.normal(0, 0.1, (count, 40, 2))
    return ((wave[..., None] + noise) * [1, 500]).astype(np.float32), labels


def request(**fields: Any) -> bytes:
    return json.dumps({"inputs": [{**BODY["inputs"][0], **fields}]}).encode()
