"""Series: arrays of measurements, or windows that are cut from the recordings of sensors."""

from __future__ import annotations

import numpy as np

from pipeline.files.artifacts import Array
from pipeline.planning import kinds, sensors
from pipeline.planning.choice import Choice
from pipeline.planning.data import Survey
from pipeline.planning.kinds import Recipe, Words
from pipeline.planning.networks import Candidate

NOUN = "series of measurements"
INT8_DROP = 0.005


class Series(kinds.PlannedKind):
    def words(self, data: Survey) -> Words:
        return Words(NOUN, NOUN, f"is the {NOUN}")

    def candidates(self, data: Survey, board: str | None, has_weights: bool) -> list[Candidate]:
        return [Candidate("series_cnn", None, "convolutions along time, for series")]

    def random(self, rng: np.random.Generator, shape: tuple[int, ...], highest: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    def recipe(self, data: Survey) -> Recipe | None:
        return sensors.RECIPE if data.is_of_sensors else None

    def order(self, data: Survey) -> Choice:
        if data.is_of_sensors:
            return super().order(data)
        if data.is_sorted:
            reason = "in the order of the data a part would lack a class"
            return Choice("preprocess.order", "stratified", reason)
        reason = "windows of one person or machine belong together; sort them by that"
        return Choice("preprocess.order", "first", reason)

    def grouped(self, data: Survey) -> str:
        if not data.is_of_sensors:
            return super().grouped(data)
        return kinds.grouped(data, "a column of your recordings")

    def accuracy_drop(self) -> Choice:
        reason = "int8 costs such a network up to 0.4 points"
        return Choice("export.max_accuracy_drop", INT8_DROP, reason)


KIND = Series()
