"""The lectures' baseline: the mean image of each class, the nearest by RMSE or MAE; here on the images that the means are of."""

from __future__ import annotations

import time

import numpy as np

from lectures import data
from lectures.example import Study
from lectures.outcome import Outcome
from pipeline import baseline
from pipeline.files import artifacts
from pipeline.process.errors import UserError


def outcomes(study: Study, workers_wanted: int, quick: bool) -> tuple[list[Outcome], str]:
    """A variation for each distance, `rmse` or `mae`. Raises UserError."""
    chosen = study.params(study.variations[0].model_copy(update={"settings": {}}), quick)
    images, labels = artifacts.load_split("train", data.raw(chosen) / artifacts.RAW)
    count = chosen.preprocess.subset or len(labels)
    images, labels = np.asarray(images[:count]), np.asarray(labels[:count])
    started = time.perf_counter()
    names = [str(number) for number in np.unique(labels)]
    predictions = baseline.nearest(images, baseline.class_means(images, labels, len(names)))
    seconds = round((time.perf_counter() - started) / len(study.variations), 1)
    made = []
    for variation in study.variations:
        distance = variation.settings.get("distance")
        if distance not in predictions:
            raise UserError(
                f"variation {variation.name!r}: distance is {distance!r}; allowed are {', '.join(predictions)}"
            )
        scored = baseline.score(predictions[distance], labels, names)
        recalls = {f"accuracy_of_{name}": [recall] for name, recall in scored["per_class"].items()}
        made.append(
            Outcome(variation.name, {"accuracy": [scored["accuracy"]], **recalls}, seconds=seconds)
        )
    return made, data.size(chosen)
