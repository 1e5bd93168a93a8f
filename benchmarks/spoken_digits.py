"""How right is logistic regression on spoken digits, for each speaker held out in turn?

    python -m benchmarks.spoken_digits

It takes the features of data/raw, and as `edgeproof folds --by group` the recordings outside the
test set: it trains on all speakers but one, and answers that one. The last line is the test set.
"""

from __future__ import annotations

import argparse

import numpy as np

from pipeline.files import groups, raw
from pipeline.inputs import sounds
from pipeline.process.words import percent


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    images, labels = raw.load("train")
    names = raw.group_names("train", None)
    assert names is not None  # fsdd has speakers
    speakers, test = np.array(names), sorted(set(groups.load_names()))
    outside = ~np.isin(speakers, test)
    for speaker in [*np.unique(speakers[outside]).tolist(), *test]:
        training, held_out = outside & (speakers != speaker), speakers == speaker
        regression = sounds.fitted(images[training], labels[training])
        right = sounds.predicted(regression, images[held_out]) == labels[held_out]
        print(f"{speaker}: {percent(right.mean(), 1)} of {len(right)}", flush=True)


if __name__ == "__main__":
    main()
