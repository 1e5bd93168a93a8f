"""The model in the field against the test: drift, and the verdict as a sentence."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.field_alarms import alarm_rate, observe, select
from pipeline.field import drift, recognition, sources
from pipeline.field.observations import UNKNOWN, Observations
from pipeline.field.sentences import sentences
from pipeline.files.reports.field import FieldReport
from pipeline.process.errors import UserError
from serving import Bundle, Classifier
from serving.prediction_log import Entry, PredictionLog
from tests.acceptance_sets import change_card
from tests.conftest import Project
from tests.field.conftest import SETTINGS


@pytest.mark.slow
def test_without_drift_at_most_one_alarm_in_a_hundred(finished: Project, own: Observations) -> None:
    probabilities = np.load(finished.folder / "evaluation/test_probabilities.npy")
    for size in (50, 3000):
        assert alarm_rate(own, probabilities, own, size, 120) <= SETTINGS.false_alarms


@pytest.mark.slow
def test_a_hundred_inputs_reveal_every_real_shift(
    own: Observations, classifier: Classifier
) -> None:
    images = np.stack([picture for row in range(100) if (picture := own.picture(row)) is not None])
    noise = np.random.default_rng(0).normal(0, 20, images.shape)
    shifts = {
        "inverted": 255 - images,
        "noise": np.clip(images + noise, 0, 255).astype(np.uint8),
        "shifted": np.roll(images, 2, 2),
        "turned": np.rot90(images, axes=(1, 2)).copy(),
    }
    assert classifier.card.reference
    drawn = select(own, np.arange(100))
    inverted = observe(classifier, 255 - images, drawn.labels)
    report = recognition.judge(dataclasses.replace(inverted, labels=drawn.labels), SETTINGS)
    sentence = sentences(report)[-1]
    assert re.search(r"brightness \(higher by \d+: median 2\d\d instead of \d\d", sentence), (
        sentence
    )
    for name, shifted in shifts.items():
        tests = drift.judge(
            observe(classifier, shifted, own.labels[:100]),
            classifier.card.reference,
            SETTINGS.false_alarms,
        )
        assert any(test.alarm for test in tests), name


def answered(own: Observations, count: int, wrong: int, digit: int | None = None) -> FieldReport:
    """The report on predictions that are right, except for `wrong` ones of the class `digit`."""
    rows = np.flatnonzero(own.predicted == own.labels)[:count]
    observed = select(own, rows)
    labels = observed.predicted.copy()
    changed = np.flatnonzero(labels == digit)[:wrong] if digit is not None else np.arange(wrong)
    assert len(changed) == wrong
    observed.predicted[changed] = (labels[changed] + 1) % 10
    return recognition.judge(dataclasses.replace(observed, labels=labels), SETTINGS)


@pytest.mark.slow
def test_the_verdict_is_a_sentence(own: Observations) -> None:
    few, many, bad = answered(own, 20, 0), answered(own, 3000, 0), answered(own, 1000, 250)
    assert [facts.accuracy.verdict for facts in (few, many, bad)] == [
        "open",
        "holds",
        "worse",
    ]
    assert "more labels will probably be enough" in sentences(few)[0]
    assert sentences(many)[0].startswith("Field accuracy is within 1 point of test accuracy")
    assert sentences(bad)[0].startswith(
        "Field accuracy is worse than test accuracy: field accuracy 75.00 %"
    )
    single = answered(own, 1, 1)
    assert single.accuracy.verdict == "open"
    assert not [row.name for row in single.classes if row.suffers]
    assert answered(own, 4, 4).accuracy.verdict == "worse"
    assert sentences(few)[-1].startswith(
        "Too few predictions to detect drift: with 20, only a drift of at least 4"
    )
    fours = answered(own, 1000, 80, digit=4)
    assert [row.name for row in fours.classes if row.suffers] == ["4"]
    assert "Significantly worse classes" in sentences(fours)[1]
    unlabelled = recognition.judge(
        dataclasses.replace(own, labels=np.full(len(own.labels), UNKNOWN)), SETTINGS
    )
    assert unlabelled.accuracy.verdict == "no labels"
    assert sentences(unlabelled)[0].startswith("None of the 10,000 predictions has a label")


@pytest.mark.slow
def test_the_share_of_none_of_these_is_reported_by_day_and_compared_with_the_card(
    own: Observations, bundle: Path, tmp_path: Path
) -> None:
    """Read from a log of three days, of which the last has only rejected predictions."""
    least = float(np.sort(own.confidence.astype(np.float32))[1000])  # 10 % in the test
    unsure, sure = (
        np.flatnonzero(own.confidence < least)[:60],
        np.flatnonzero(own.confidence >= least)[:140],
    )
    files = [dataclasses.replace(file, accept_from=least) for file in own.card.files]

    def report(coverage: float | None, **counts: Any) -> FieldReport:
        promise = {"rule": "certain", "coverage": coverage, **counts}
        change_card(bundle, files=files, rejection=promise)
        model = Classifier.load(bundle, own.file.format)
        path = tmp_path / f"{coverage} {len(counts)}.sqlite"
        with PredictionLog(path) as written:
            mixed = np.concatenate([sure[70:], unsure[:10]])
            for day, rows in enumerate((sure[:70], mixed, unsure[10:])):
                images = np.stack([np.asarray(own.picture(row)) for row in rows])
                ids, seconds = written.new_ids(len(rows)), 86_400.0 * (day + 1) - 1
                probabilities = model.predict(images)
                written.write([Entry(ids, seconds, model, images, probabilities)])
        (observed,) = sources.read(path, None, tmp_path)
        return recognition.judge(observed, SETTINGS)

    promised = report(0.9)
    assert promised.rejection
    assert [(row.day, row.predictions, row.rejected) for row in promised.rejection.days] == [
        ("1970-01-01", 70, 0),
        ("1970-01-02", 80, 10),
        ("1970-01-03", 50, 50),
    ]
    assert (promised.rejection.share, promised.rejection.departs) == (0.3, True)
    (sentence,) = [text for text in sentences(promised) if "none of the classes" in text]
    assert sentence.startswith("30.00 % of the 200 predictions are none of the classes (95 % ")
    assert "significantly more than the 10.00 % by the card (Fisher's exact test, p " in sentence
    expected, unknown = report(0.7), report(None)
    assert expected.rejection
    assert not expected.rejection.departs
    assert "not significantly different from the 30.00 % by the card" in " ".join(
        sentences(expected)
    )
    assert "; the card promises no coverage to compare with." in " ".join(sentences(unknown))
    # The counts of the test say more than the coverage, which is a lower bound.
    row = {"format": own.file.format, "runtime": own.runtime, "images": 1000, "accepted": 720}
    counted = report(0.9, test=[row])
    assert counted.rejection
    assert (counted.rejection.expected_share, counted.rejection.departs) == (0.28, False)
    assert recognition.judge(own, SETTINGS).rejection is None


@pytest.mark.parametrize(
    ("promise", "place"),
    [
        ({"test": [1]}, "rejection.test.0"),
        ({"test": [{}]}, "rejection.test.0.format"),
        ({"test": 5}, "rejection.test"),
        ({"coverage": "x"}, "rejection.coverage"),
        (
            {"test": [{"format": "a", "runtime": "b", "images": 1, "accepted": 9}]},
            "rejection.test.0",
        ),
    ],
)
def test_a_damaged_card_is_named_in_one_sentence(
    own: Observations, promise: dict[str, Any], place: str
) -> None:
    file = dataclasses.replace(own.file, accept_from=0.5)
    card = dataclasses.replace(own.card, rejection=promise)
    with pytest.raises(UserError, match=f"is damaged at {re.escape(place)}; rebuild"):
        recognition.judge(dataclasses.replace(own, card=card, file=file), SETTINGS)
    card = dataclasses.replace(own.card, provenance={})
    with pytest.raises(UserError, match="does not name its model; rebuild"):
        recognition.judge(dataclasses.replace(own, card=card), SETTINGS)


def test_the_card_contains_the_drift_reference(archive: Path, finished: Project) -> None:
    card = Bundle(archive).card
    assert card.reference
    assert card.test_accuracy is not None
    assert sum(card.reference.images) == card.test_images
    assert sum(card.reference.right) == round(card.test_accuracy * card.test_images)
    assert all(
        sum(histogram.counts) == card.test_images for histogram in card.reference.inputs.values()
    )
    assert len(json.dumps(dataclasses.asdict(card.reference))) < 8000
