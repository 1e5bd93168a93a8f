"""Which part of a photo the model sees, as `dataset.framing` says it."""

from __future__ import annotations

from pipeline.config.parts import declared

DIGITS = 4  # of a fraction, as serving/framing.py computes in ten-thousandths


def check(framing: str | list[float], dataset: str) -> None:
    """Raises ValueError for an impossible region, or if the dataset has no photos to frame."""
    if isinstance(framing, list) and not _is_region(framing):
        raise ValueError(
            f"framing is {framing}; expected [left, top, right, bottom] as fractions of the photo, "
            "from 0 to 1, with left below right and top below bottom"
        )
    if framing != "resize" and "PHOTOS" not in declared("datasets", dataset):
        raise ValueError(
            f"framing is {framing}, and {dataset} has no photo files to frame; expected resize"
        )


def _is_region(region: list[float]) -> bool:
    if len(region) != 4:
        return False
    left, top, right, bottom = region
    return 0 <= left < right <= 1 and 0 <= top < bottom <= 1
