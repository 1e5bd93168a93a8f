"""Made-up learning curves, and data without a fault."""

from __future__ import annotations

from pipeline.files.reports.preprocess import Evidence
from pipeline.training import learning_curves

SOUND_DATA = Evidence(5000, 2000, 0.0, 1.0, 0.5, 1.0)


def table(
    train_loss: list[float],
    train_accuracy: list[float],
    validation_loss: list[float] | None = None,
    validation_accuracy: list[float] | None = None,
) -> list[learning_curves.Row]:
    """Learning curves; columns repeat their last value, and validation defaults to training."""
    columns = (
        train_loss,
        train_accuracy,
        validation_loss or train_loss,
        validation_accuracy or train_accuracy,
    )
    epochs = max(map(len, columns))
    filled = [[*column, *[column[-1]] * (epochs - len(column))] for column in columns]
    rows = zip(*filled, strict=True)
    return [
        {"epoch": epoch, **dict(zip(learning_curves.MEASURES, row, strict=True))}
        for epoch, row in enumerate(rows, 1)
    ]


FALLEN = [2.0, 1.0, 0.5, 0.3, 0.22, 0.2, 0.2, 0.2, 0.2, 0.2]
CONVERGED = [0.0200, 0.0202, 0.0198, 0.0199, 0.0196, 0.0197, 0.0195, 0.0196]
