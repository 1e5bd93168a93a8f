"""Nearest neighbour on spoken digits, with speakers shared between the sets and with each held out.

    python -m benchmarks.shared_speakers

It answers with the digit of the most similar log-mel among the training recordings, which knows
nothing but what they sound like. With shared speakers, each fifth of the recordings is the test set
in turn; else those of each speaker.
"""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from pipeline.config.params import Dataset
from pipeline.datasets import fsdd
from pipeline.process.words import percent


def measured() -> tuple[float, float]:
    """The shares of right answers, the means over the test sets: shared, and held out."""
    raw = fsdd.load(Dataset(name="fsdd"))
    features = raw.train_images.reshape(len(raw.train_labels), -1).astype(np.float32)
    speakers = raw.train_columns[fsdd.SPEAKER]
    examples = KNeighborsClassifier(1), features, raw.train_labels
    fifths = StratifiedKFold(5, shuffle=True, random_state=0)
    shared = cross_val_score(*examples, cv=fifths)
    held_out = cross_val_score(*examples, groups=speakers, cv=LeaveOneGroupOut())
    return float(shared.mean()), float(held_out.mean())


def main() -> None:
    shared, held_out = measured()
    print(f"speakers shared: {percent(shared, 1)}; each held out in turn: {percent(held_out, 1)}")


if __name__ == "__main__":
    main()
