"""The model in the field against the test: the statistics, and `edgeproof field` as one uses it."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from benchmarks.field_alarms import observe, rate, some
from pipeline.bundle import drift_reference
from pipeline.config import params
from pipeline.field import comparison, judge, observations
from pipeline.field.observations import UNKNOWN, Observations
from pipeline.field.sentences import sentences
from pipeline.process.errors import UserError
from serving import Bundle, Classifier, input_statistics
from serving.field_log import FieldLog
from tests.conftest import EDGEPROOF, ROOT, Project

CHOSEN = params.load(ROOT / "params.yaml").field


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """His table II: 56 of 70 and 48 of 80, 9 of 10 and 3 of 10, 10 of 10 and 0 of 20; method 10."""
    for counts, bounds in (
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
    ):
        assert comparison.newcombe(*counts) == pytest.approx(bounds, abs=5e-5)


def test_the_labels_that_are_asked_for_bring_a_verdict_four_times_in_five() -> None:
    test_right, test_images = 9960, 10000
    needed = comparison.labels_needed(0.996, test_right, test_images, 0.01)
    assert needed
    drawn = np.random.default_rng(0)

    def settled(count: int) -> float:
        answers = drawn.binomial(count, 0.996, 2000).tolist()
        intervals = {
            right: comparison.newcombe(right, count, test_right, test_images)
            for right in set(answers)
        }
        return float(
            np.mean([intervals[right][0] > -0.01 or intervals[right][1] < 0 for right in answers])
        )

    assert settled(needed) >= 0.78
    assert settled(needed // 2) < 0.78
    assert comparison.labels_needed(0.9, 90, 100, 0.01) is None, (
        "100 test images cannot show one point"
    )


def test_p_values_are_adjusted_as_holm_did() -> None:
    """Wright, 1992, Biometrics 48:1005-1013, has 0.01, 0.02, 0.022, 0.09 of five; recomputed by hand."""
    assert comparison.holm([0.02, 0.01, 0.09, 0.022]) == pytest.approx([0.06, 0.04, 0.09, 0.06])
    assert comparison.holm([0.6, 0.7]) == [1.0, 1.0]


def test_a_binned_test_never_cries_earlier_than_that_of_the_values() -> None:
    random = np.random.default_rng(1)
    values, before = random.normal(0.4, 1, 300), random.normal(0, 1, 10000)
    edges = drift_reference.equal_shares(before)
    found = comparison.kolmogorov_smirnov(
        drift_reference.count(values, edges), drift_reference.count(before, edges)
    )
    assert stats.ks_2samp(values, before, method="asymp").pvalue <= found < 0.01


def test_the_least_drift_that_shows_is_that_of_the_test_itself() -> None:
    before = np.full(20, 500)
    least = comparison.least_distance(100, 10000, 0.001)
    for share, shows in (
        (least - 0.01, False),
        (least / 0.95 + 0.01, True),
    ):  # a twentieth of those that move lies there already
        moved = 100 * (1 - share) * before / before.sum()
        moved[-1] += 100 * share
        assert (comparison.kolmogorov_smirnov(moved, before) < 0.001) == shows


def test_the_median_of_a_histogram_is_that_of_its_values() -> None:
    values = np.random.default_rng(2).normal(3, 1, 10000)
    assert drift_reference.median(
        drift_reference.histogram(values, drift_reference.equal_shares(values))
    ) == pytest.approx(np.median(values), abs=1e-4)
    assert drift_reference.median(drift_reference.histogram(values, [9.0])) is None


def test_a_class_that_was_hardly_ever_met_is_noticed_when_it_becomes_frequent() -> None:
    before = np.array([1000, 1000, 3, 2, 1])
    assert comparison.class_shares(np.array([50, 48, 0, 0, 0]), before) > 0.5
    assert comparison.class_shares(np.array([50, 40, 0, 0, 10]), before) < 1e-6
    assert comparison.class_shares(np.array([3, 0, 0, 0, 0]), np.array([9, 0, 0, 0, 0])) == 1.0


def test_statistics_tell_where_ink_lies_and_what_it_is_like() -> None:
    image = np.zeros((1, 20, 10, 3), np.uint8)
    image[0, 4:8, 5:9, 0] = 240
    measured = dict(
        zip(
            input_statistics.names(image.shape[1:], "uint8"),
            input_statistics.of(image)[0].tolist(),
            strict=True,
        )
    )
    assert measured["brightness"] == pytest.approx(80 * 16 / 200)
    assert (measured["row"], measured["column"]) == pytest.approx((6 / 20, 7 / 10))
    assert (measured["height"], measured["width"]) == pytest.approx(
        (np.sqrt(1.25) / 20, np.sqrt(1.25) / 10)
    )
    assert measured["slant"] == pytest.approx(0, abs=1e-6)
    assert measured["colour"] == pytest.approx(240 * 16 / 200)
    for blank in (np.zeros_like(image), np.full_like(image, 255), np.zeros((1, 1, 1, 1), np.uint8)):
        assert np.isfinite(input_statistics.of(blank)).all()
    ids = np.array([[3, 5, 0, 0], [0, 0, 0, 0]], np.int32)
    assert input_statistics.of(ids).tolist() == [[2, 4, 1], [0, 0, 0]]


@pytest.fixture(scope="module")
def own(finished: Project, classifier: Classifier) -> Observations:
    """The whole test set, as the file of the bundle answers it."""
    test = finished.folder / "data/prepared/test"
    return observe(classifier, np.load(test / "images.npy"), np.load(test / "labels.npy"))


@pytest.mark.slow
def test_where_nothing_has_drifted_at_most_one_alarm_in_a_hundred(
    finished: Project, own: Observations
) -> None:
    probabilities = np.load(finished.folder / "evaluation/test_probabilities.npy")
    for size in (50, 3000):
        assert rate(own, probabilities, own, size, 120) <= CHOSEN.false_alarms


@pytest.mark.slow
def test_a_hundred_inputs_tell_every_real_shift(own: Observations, classifier: Classifier) -> None:
    images = np.stack([picture for row in range(100) if (picture := own.picture(row)) is not None])
    noise = np.random.default_rng(0).normal(0, 20, images.shape)
    shifts = {
        "inverted": 255 - images,
        "noise": np.clip(images + noise, 0, 255).astype(np.uint8),
        "shifted": np.roll(images, 2, 2),
        "turned": np.rot90(images, axes=(1, 2)).copy(),
    }
    assert classifier.card.reference
    drawn = some(own, np.arange(100))
    told = sentences(
        judge.judge(
            dataclasses.replace(
                observe(classifier, 255 - images, drawn.labels), labels=drawn.labels
            ),
            CHOSEN,
        )
    )[-1]
    assert re.search(r"brightness \(higher by \d+: median 2\d\d instead of \d\d", told), told
    for name, shifted in shifts.items():
        tests = judge.drift(
            observe(classifier, shifted, own.labels[:100]),
            classifier.card.reference,
            CHOSEN.false_alarms,
        )
        assert any(test["alarm"] for test in tests), name


def answered(own: Observations, count: int, wrong: int, digit: int | None = None) -> dict[str, Any]:
    """The report on predictions that are right, but for `wrong` ones of the class `digit`."""
    rows = np.flatnonzero(own.predicted == own.labels)[:count]
    observed = some(own, rows)
    labels = observed.predicted.copy()
    chosen = np.flatnonzero(labels == digit)[:wrong] if digit is not None else np.arange(wrong)
    assert len(chosen) == wrong
    observed.predicted[chosen] = (labels[chosen] + 1) % 10
    return judge.judge(dataclasses.replace(observed, labels=labels), CHOSEN)


@pytest.mark.slow
def test_the_verdict_is_a_sentence(own: Observations) -> None:
    few, many, bad = answered(own, 20, 0), answered(own, 3000, 0), answered(own, 1000, 250)
    assert [facts["accuracy"]["verdict"] for facts in (few, many, bad)] == [
        "open",
        "holds",
        "worse",
    ]
    assert "more labels will probably tell" in sentences(few)[0]
    assert sentences(many)[0].startswith("The field holds what the test promised")
    assert sentences(bad)[0].startswith("The field is worse than the test: field accuracy 75.00 %")
    one = answered(own, 1, 1)
    assert (
        one["accuracy"]["verdict"],
        [each["class"] for each in one["classes"] if each["suffers"]],
    ) == ("open", [])
    assert answered(own, 4, 4)["accuracy"]["verdict"] == "worse"
    assert sentences(few)[-1].startswith(
        "Too few predictions to tell drift: of 20, it would have to concern 4"
    )
    fours = answered(own, 1000, 80, digit=4)
    assert [one["class"] for one in fours["classes"] if one["suffers"]] == ["4"]
    assert "Classes that suffer" in sentences(fours)[1]
    unknown = judge.judge(
        dataclasses.replace(own, labels=np.full(len(own.labels), UNKNOWN)), CHOSEN
    )
    assert unknown["accuracy"]["verdict"] == "no labels"
    assert sentences(unknown)[0].startswith("No label of 10,000 predictions is known")


@pytest.fixture
def log(own: Observations, classifier: Classifier, tmp_path: Path) -> Path:
    """200 predictions with their pixels, every second of them with its label, and one wrong."""
    path = tmp_path / "field.sqlite"
    with FieldLog(path, images=True) as written:
        ids = [logged(written, classifier, own, row) for row in range(200)]
        labels = {id_: str(own.predicted[row]) for row, id_ in enumerate(ids) if row % 2}
        written.label({**labels, ids[1]: str((own.predicted[1] + 1) % 10)})
    return path


def logged(log: FieldLog, classifier: Classifier, own: Observations, row: int) -> str:
    images = np.asarray(own.picture(row))[None]
    return log.add(classifier, images, classifier.predict(images), f"{row}.png")[0]


@pytest.fixture
def told(finished: Project) -> Iterator[Any]:
    """Runs the command in the finished project; what it wrote goes afterwards."""

    def run(*arguments: object) -> dict[str, Any]:
        finished.run(*EDGEPROOF, "field", *map(str, arguments))
        (path,) = (finished.folder / "reports/field").glob("*/field.json")
        return {
            **json.loads(path.read_text()),
            "files": sorted(file.name for file in path.parent.iterdir()),
        }

    yield run
    shutil.rmtree(finished.folder / "reports/field", ignore_errors=True)


@pytest.mark.slow
def test_of_two_labels_the_first_is_kept_and_it_is_said(
    log: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (before,) = observations.read(log, None, archive)
    labels = tmp_path / "labels.csv"
    other = (before.labels[1] + 1) % 10
    labels.write_text(f"file,label\n0.png,4\n1.png,{other}\n3.png,{before.labels[3]}\n")
    (kept,) = observations.read(log, labels, archive)
    assert kept.labels[:4].tolist() == [4, before.labels[1], UNKNOWN, before.labels[3]]
    assert "1 predictions of" in capsys.readouterr().err
    (replaced,) = observations.read(log, labels, archive, replace=True)
    assert replaced.labels[:4].tolist() == [4, other, UNKNOWN, before.labels[3]]
    assert not capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_copied_log_becomes_a_report_with_pictures_in_the_models_run(
    finished: Project, log: Path, told: Any, tmp_path: Path
) -> None:
    facts = told(log)
    assert (facts["predictions"], facts["labels"]) == (200, 100)
    assert facts["accuracy"]["field_accuracy"] == 0.99
    assert facts["files"] == ["drift.png", "field.json", "field.md", "worst.png"]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ("file", "label"),
                *((f"{row}.png", "0") for row in range(0, 20, 2)),
                ("fell out of the log.png", "0"),
            ]
        )
    assert told(log, "--labels", tmp_path / "labels.csv", "--replace")["labels"] == 110
    import mlflow

    store = mlflow.MlflowClient(f"sqlite:///{finished.folder}/mlflow.db")
    experiment = store.get_experiment_by_name("mnist-digits").experiment_id
    (run,) = store.search_runs([experiment], f"tags.model_sha256 = '{facts['model_sha256']}'")
    assert [metric.value for metric in store.get_metric_history(run.info.run_id, "field_labels")][
        -2:
    ] == [100, 110]
    assert [file.path for file in store.list_artifacts(run.info.run_id, "field")] == [
        "field/mnist-digits-1.0.0-onnx_float32-onnxruntime"
    ]


@pytest.mark.slow
def test_a_folder_of_pictures_by_their_class_is_judged_by_the_bundle(
    own: Observations, told: Any, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    for row in range(30):
        folder = pictures / str(own.labels[row])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(own.picture(row)).squeeze()).save(folder / f"{row}.png")
    (pictures / "0" / "broken.png").write_bytes(b"no picture")
    facts = told(pictures)
    assert (facts["predictions"], facts["labels"], len(facts["unreadable"])) == (30, 30, 1)
    assert facts["accuracy"]["field_accuracy"] > 0.7


@pytest.mark.slow
def test_damage_is_told_in_a_sentence(
    log: Path, finished: Project, archive: Path, tmp_path: Path
) -> None:
    whole = log.read_bytes()

    def changed(name: str, statement: str) -> Path:
        shutil.copy(log, tmp_path / name)
        connection = sqlite3.connect(tmp_path / name)
        connection.execute(statement)
        connection.commit()
        connection.close()
        return tmp_path / name

    def wrote(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    cases: list[tuple[list[Path], str]] = [
        ([tmp_path / "missing"], "neither a log nor a folder"),
        ([wrote("empty", b"")], "no log of predictions"),
        ([wrote("garbage", b"x" * 5000)], "damaged or no log"),
        ([wrote("cut", whole[: len(whole) // 2])], "damaged or no log"),
        ([wrote("overwritten", whole[:8192] + b"\xff" * 64 + whole[8256:])], "damaged or no log"),
        ([changed("other", "PRAGMA application_id = 1")], "no log of predictions of version 1"),
        (
            [changed("class", "UPDATE predictions SET label = 10 WHERE number = 7")],
            "does not fit its card",
        ),
        (
            [changed("negative", "UPDATE predictions SET predicted = -1 WHERE number = 7")],
            "does not fit its card",
        ),
        (
            [changed("short", "UPDATE predictions SET statistics = x'00' WHERE number = 7")],
            "does not fit its card",
        ),
        ([changed("card", "UPDATE models SET card = '{}'")], "not a model card"),
        ([changed("none", "DELETE FROM predictions")], "holds no prediction yet"),
        ([log, wrote("a.csv", b"id;label\n1;2\n")], "allowed are id,label or file,label"),
        ([log, wrote("b.csv", b"file,label\nother.png,2\n")], "holds no prediction 'other.png'"),
        ([log, wrote("c.csv", b"file,label\n3.png,two\n")], "allowed are 0, 1, 2"),
        (
            [log, wrote("e.csv", b"file,label\n3.png,2\n3.png,3\n")],
            "has the labels '2' and '3' for '3.png'; keep one of them",
        ),
        ([log, wrote("f.csv", b"file,label\n3.png\n")], "fewer cells than columns in row 2"),
        ([log, wrote("d.csv", b"\xff\xfe\x00")], "no readable CSV"),
    ]
    for (source, *labels), sentence in cases:
        with pytest.raises(UserError, match=re.escape(sentence)):
            observations.read(source, labels[0] if labels else None, archive)
    done = finished.attempt(*EDGEPROOF, "field", str(tmp_path / "cut"))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr


def test_the_card_brings_what_the_field_is_held_against(archive: Path, finished: Project) -> None:
    card = Bundle(archive).card
    assert card.reference
    assert sum(card.reference.images) == card.test_images
    assert sum(card.reference.right) == round(card.test_accuracy * card.test_images)
    assert all(
        sum(histogram.counts) == card.test_images for histogram in card.reference.inputs.values()
    )
    assert len(json.dumps(dataclasses.asdict(card.reference))) < 8000
