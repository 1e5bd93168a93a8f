"""Pointers of Git LFS, which lie in place of files that a clone did not fetch."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.files.pictures import picture_file
from pipeline.process.errors import UserError
from pipeline.runtimes import inspect_foreign
from pipeline.training import foreign_file

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:12ab\nsize 434454\n"


@pytest.mark.parametrize("suffix", ["onnx", "tflite", "h5", "keras"])
def test_a_model_that_is_a_pointer_is_refused_with_the_cure(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(POINTER)
    check = inspect_foreign.read if suffix in ("onnx", "tflite") else foreign_file.check
    with pytest.raises(UserError, match=r"is a pointer of Git LFS, .*`git lfs pull`"):
        check(path)


def test_a_picture_that_is_a_pointer_is_named_as_one() -> None:
    with pytest.raises(picture_file.PictureError) as refused:
        picture_file.image(POINTER, (8, 8, 3))
    assert "is a pointer of Git LFS" in picture_file.reason(refused.value)
