"""What the table of results says of the confidences of a file."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.files.reports.verify import ComparedPair
from pipeline.process.words import percent

CALIBRATION_ERROR, ANSWERED, WRONG = "calibration error", "answered", "of these wrong"
COLUMNS = (CALIBRATION_ERROR, ANSWERED, WRONG)
NOTE = (
    '"Calibration error" is the expected calibration error. "Answered" is the share of test images '
    'whose answer is not "none of these", and "of these wrong" counts wrong answers among them.'
)


def cells(pairs: Sequence[ComparedPair]) -> dict[str, str]:
    """The worst of all pairs, which saw the same images."""
    errors = [pair.calibration_error for pair in pairs if pair.calibration_error is not None]
    rejections = [pair.rejection for pair in pairs if pair.rejection is not None]
    result = {CALIBRATION_ERROR: f"{max(errors):.4f}"} if errors else {}
    if rejections:
        result[ANSWERED] = percent(min(entry.coverage for entry in rejections))
        result[WRONG] = percent(max(entry.error for entry in rejections))
    return result
