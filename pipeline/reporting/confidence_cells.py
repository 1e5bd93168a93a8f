"""What the table of results says of the confidences of a file."""

from __future__ import annotations

from pipeline.process.words import percent
from pipeline.reporting.result_row import Columns, text

COLUMNS: Columns = {
    "calibration error": lambda row: text(row.calibration_error, "{:.4f}".format),
    "answered": lambda row: text(row.answered, percent),
    "of these wrong": lambda row: text(row.wrong, percent),
}
NOTE = (
    '"Calibration error" is the expected calibration error. "Answered" is the share of test images '
    'whose answer is not "none of these", and "of these wrong" counts wrong answers among them.'
)
