"""What training may start from: fresh weights, a trained model, or a published network."""

from __future__ import annotations

from pipeline.config.named_by_dvc import NONE
from pipeline.config.parts import choices, declared


def backbones() -> list[str]:
    """The architectures that are published networks with weights."""
    return [
        name for name in choices("architectures") if "WEIGHTS" in declared("architectures", name)
    ]


def checked_file(path: str) -> str:
    """Returns `train.start_from`. Raises ValueError if it is not a file that Keras reads."""
    if path != NONE and not path.endswith((".keras", ".h5")):
        raise ValueError(
            f"{path!r} is not a Keras model; expected a .keras file, a backbone's .h5 file, "
            f"or {NONE} for fresh weights"
        )
    return path


def check(weights: str, start_from: str, architecture: str) -> None:
    """Raises ValueError if the values of `train` of these names do not fit each other."""
    if weights != "none" and start_from != NONE:
        raise ValueError(
            f"weights is {weights} and start_from is {start_from}; "
            f"expected weights none, or start_from {NONE}"
        )
    if architecture in backbones():
        return
    for key, value in (("weights", weights), ("start_from", start_from)):
        if value == "imagenet" or value.endswith(".h5"):
            raise ValueError(
                f"{key} is {value}, and {architecture} is not a published network; "
                f"expected the architecture {', '.join(backbones())}"
            )
