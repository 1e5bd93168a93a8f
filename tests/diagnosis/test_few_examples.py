"""Classes of few examples: what they leave open, and that more of them come first."""

from __future__ import annotations

import math
from dataclasses import replace

from pipeline.config import params
from pipeline.diagnosis.diagnosis import Diagnosis
from pipeline.diagnosis.few_examples import FEW, sentence, with_few
from pipeline.files.reports.preprocess import SplitReport
from pipeline.search.advise import notes
from pipeline.search.change import Situation
from tests import reports
from tests.conftest import ROOT

TRAIN = {"paper": 192, "plastic": 38, "metal": 8}
VALIDATION = {"paper": 48, "plastic": 10, "metal": 2}
TOLD = (
    "'metal' has only 8 training and 2 validation examples: even if the model recognizes all 2, "
    "the recall of 'metal' may lie anywhere from 15.8 to 100.0 %, so collect more of it before you "
    "change the network; about 90 more would put 20 into validation, which narrows that to 83.2 "
    "to 100.0 %"
)


def test_a_diagnosis_says_what_a_class_of_few_examples_leaves_open() -> None:
    good = Diagnosis("good_fit", 3, {"gap_of_loss": 0.1}, "nothing is wrong")
    diagnosis = with_few(good, TRAIN, VALIDATION)
    assert diagnosis.verdict == "good_fit"
    assert diagnosis.sentence == f"nothing is wrong; note that {TOLD}"
    assert diagnosis.numbers == {"gap_of_loss": 0.1, FEW: 1}
    for enough in (12, 500):
        assert with_few(good, {**TRAIN, "metal": 18}, {**VALIDATION, "metal": enough}) is good
    assert with_few(good, {}, {}) is good  # numbers have no classes


def test_the_rarest_class_is_told_in_figures_and_the_others_by_name() -> None:
    told = sentence({**TRAIN, "plastic": 4}, {**VALIDATION, "plastic": 1}) or ""
    assert told.startswith(
        "'plastic' has only 4 training and 1 validation example: even if the model recognizes it,"
    )
    assert told.endswith("; 'metal' has few examples, too")
    # The exact interval of one answer that is right: 0.025 ** (1 / 1) to 1
    assert math.isclose(0.025, float(told.split("anywhere from ")[1].split(" to")[0]) / 100)


def test_more_examples_come_before_the_changes_that_are_advised() -> None:
    now = Situation(params.load(ROOT / "params.yaml"), "good_fit", 298)

    def told(train: dict[str, int], validation: dict[str, int]) -> list[str]:
        counts = {"train": train, "validation": validation}
        splits = {
            name: SplitReport.model_validate(
                {"images": sum(part.values()), "per_class": part, "empty": 0}
            )
            for name, part in counts.items()
        }
        return notes(now, reports.preprocessing().changed(splits=splits))

    assert told(TRAIN, VALIDATION) == [f"more examples first: {TOLD}"]
    many = {**TRAIN, "metal": 80}
    assert told(many, VALIDATION) == []
    for name in ("image_folder", "image_list"):
        now = replace(now, params=params.override(now.params, {"dataset.name": name}))
        (published,) = told(many, VALIDATION)
        assert published.startswith("if your photos are few and have 96 pixels or more, a publish")
        assert "`edgeproof start ... --force` proposes one" in published
    backbone = {"train.architecture": "efficientnet_lite0", "train.augmentation": []}
    now = replace(now, params=params.override(now.params, backbone))
    assert told(many, VALIDATION) == []
