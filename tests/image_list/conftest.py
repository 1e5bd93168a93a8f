"""Six pictures, and a CSV that names them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipeline.config.params import Dataset
from pipeline.datasets import Raw, image_list


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "phone").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(root / "phone" / f"{number}.png")
    return root


def load(root: Path, text: str, name: str = "labels.csv", **values: object) -> Raw:
    if root.is_dir():
        (root / name).write_text(text, encoding="utf-8")
    facts = {"name": "image_list", "path": str(root), "height": 4, "width": 4, "channels": 3}
    return image_list.load(Dataset.model_validate({**facts, "labels": name, **values}))
