"""A model that somebody else trained: the section `model` of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.config.named_by_dvc import NONE
from pipeline.config.section import ParamsSection

OUTPUT = Path("model/model.keras")
SUFFIXES = (".keras", ".h5", ".hdf5")

InRgb = Literal["raw", "unit", "signed", "imagenet", "caffe_rgb", "standard"]
InBgr = Literal["raw_bgr", "unit_bgr", "signed_bgr", "imagenet_bgr", "caffe"]
Value = float | Annotated[list[float], Field(min_length=1)]  # one for all channels, or one for each


def checked_path(path: str) -> str:
    """Returns `model.path`. Raises ValueError if it is not a file that Keras reads."""
    if set(path) & set("|`\r\n"):
        raise ValueError(f"{path!r} has a character that breaks tables; expected another name")
    if Path(path) == OUTPUT:
        raise ValueError(f"{path} is what training writes; name a copy of it in another place")
    if path == NONE or path.endswith(SUFFIXES):
        return path
    raise ValueError(
        f"{path!r} is not a Keras model; expected a .keras or .h5 file, or {NONE} to train a "
        "model; `edgeproof prove` takes a .tflite or .onnx file, or a SavedModel, as it is"
    )


class Scale(ParamsSection):
    """(pixel - mean) / deviation, in pixels from 0 to 255, with the channels in this order."""

    mean: Value
    deviation: Value
    channels: Literal["rgb", "bgr"] = "rgb"


class OwnModel(ParamsSection):
    path: Annotated[str, AfterValidator(checked_path)] = NONE
    scaling: Literal["auto"] | InRgb | InBgr | Scale = "auto"
    labels: Annotated[list[str], Field(min_length=2)] | None = None
    # It is printed in a table of the model card
    source: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^|`\r\n]*$")] | None = (
        None
    )

    @model_validator(mode="after")
    def _divides(self) -> Self:
        deviation = self.scaling.deviation if isinstance(self.scaling, Scale) else 1
        if min(deviation if isinstance(deviation, list) else [deviation]) <= 0:
            raise ValueError(f"scaling has the deviation {deviation}; expected numbers above 0")
        return self

    @property
    def is_given(self) -> bool:
        """Whether there is a model to take, so that none is trained."""
        return self.path != NONE
