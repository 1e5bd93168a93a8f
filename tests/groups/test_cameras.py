"""Groups of photos and arrays, from the data to the test report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from pipeline import download, preprocess
from pipeline.config.params import Params
from pipeline.files import groups, pictures, raw
from pipeline.files.reports.preprocess import CHANCE
from pipeline.process.errors import UserError
from pipeline.reporting import bars, by_group, statistics
from tests import reports
from tests.groups.conftest import arrays, scene
from tests.settings import configure

CLASSES = {
    name: {"images": 9, "precision": 1, "recall": 1, "recall_interval": (0.6, 1), "f1": 1}
    for name in "ab"
}


def test_the_report_counts_groups_and_lists_copies(
    cameras: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    scene(0).save("photos/b/camera0_9.png")
    download.main()
    preprocess.main()
    contents = json.loads(Path("reports/preprocess.json").read_text())
    assert contents["evidence"]["told_apart"] == CHANCE, "cameras differ, and are apart by design"
    report = contents["together"]
    assert report["groups"] == {"train": 3, "validation": 1, "test": 1}
    assert report["shared_groups"] == []
    assert report["copies"] == [["a/camera0_0.png", "b/camera0_9.png"]]
    assert report["differently_labelled"] == report["copies"]
    printed = capsys.readouterr().out
    assert "groups: train: 3, validation: 1, test: 1" in printed
    assert "2 pictures are copies or near copies, such as a/camera0_0.png and b/cam" in printed
    assert (
        "warning: 1 group of copies with different labels, such as a/camera0_0.png and" in printed
    )


def test_a_search_trains_on_photos_where_they_lie(cameras: Params) -> None:
    """Each of its workers would otherwise hold all of them in memory."""
    download.main()
    numbers = np.array([7, 3, 40])
    inputs, labels = raw.rows(numbers)
    everything, all_labels = raw.load("train")
    assert pictures.on_disk(inputs) is not None
    np.testing.assert_array_equal(inputs[:], everything[:][numbers])
    np.testing.assert_array_equal(labels, all_labels[numbers])


def test_the_test_set_says_whose_its_photos_are(cameras: Params) -> None:
    download.main()
    preprocess.main()
    names = groups.load_names()
    photos = preprocess.select(raw.description(), cameras)["test"].photos
    assert photos is not None
    assert names == groups.names(photos.rows, r"(camera\d)")
    configure({"preprocess.group": None}, cameras)
    preprocess.main()
    assert groups.load_names() == []


def test_photos_without_a_name_in_the_list_share_no_group(cameras: Params) -> None:
    """Each is a group of its own, in whatever split it is."""
    lines = [
        f"{path.relative_to('photos')},{path.parent.name},{path.name[6] if number % 2 else ''}"
        for number, path in enumerate(sorted(Path("photos").rglob("*.png")))
    ]
    Path("photos/list.csv").write_text("\n".join(["file,label,camera", *lines]))
    values = {"dataset.name": "image_list", "dataset.labels": "list.csv"}
    configure({**values, "preprocess.group": "camera"}, cameras)
    download.main()
    preprocess.main()
    report = json.loads(Path("reports/preprocess.json").read_text())["together"]
    assert report["shared_groups"] == []
    assert sum(report["groups"].values()) == 5 + 40


def test_arrays_have_the_groups_that_further_arrays_name(
    cameras: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays(cameras)
    preprocess.main()
    report = json.loads(Path("reports/preprocess.json").read_text())["together"]
    assert report == {
        "copies": [],
        "differently_labelled": [],
        "groups": {"train": 2, "validation": 1, "test": 2},
        "shared_groups": [],
    }
    assert groups.load_names() == ["3"] * 8 + ["4"] * 8
    arrays(cameras, person_test=np.zeros(16, int))
    preprocess.main()
    report = json.loads(Path("reports/preprocess.json").read_text())["together"]
    assert report["shared_groups"] == ["0"]
    assert "1 group is in more than one split of your data, and leaks: 0" in capsys.readouterr().out


def test_a_group_that_the_arrays_lack_is_answered_with_those_they_have(cameras: Params) -> None:
    arrays(cameras, person_train=np.zeros(5), day_train=np.full(24, "monday"))
    with pytest.raises(UserError, match=r"has the groups day; .* array person_train \(N,\)"):
        preprocess.main()
    arrays(cameras, person_test=np.zeros(5))
    with pytest.raises(UserError, match=r"the test part has no groups; .* array person_test"):
        preprocess.main()


def test_the_worst_group_comes_first_and_chance_is_told_from_a_bad_camera() -> None:
    names = ["a"] * 40 + ["b"] * 40 + ["c"] * 2 + ["d"] * 4 + [""] * 10
    right = np.array([True] * 38 + [False] * 2 + [True] * 20 + [False] * 26 + [True] * 10)
    scores = by_group.scores(right, names)
    assert list(scores) == ["d", "c", "b", "a"]
    assert (scores["b"].right, scores["b"].images, scores["b"].accuracy) == (20, 40, 0.5)
    assert scores["b"].interval == pytest.approx(statistics.accuracy_interval(20, 40), abs=1e-9)
    table = np.array([[20, 20], [48, 8]])
    expected = stats.fisher_exact(table, alternative="less").pvalue
    assert scores["b"].p_value == pytest.approx(5 * expected)
    assert by_group.sentence(scores) == (
        "The worst of 4 groups is 'd': 0 of 4 examples are right, 0.00 % (95 % interval "
        "0.00 to 60.24 %). Significantly worse than the others: 'd' and 'b'."
    )
    even = by_group.scores(np.arange(80) % 4 > 0, names[:80])
    assert by_group.sentence(even).endswith("No group is significantly worse than the others.")
    flawless = by_group.scores(np.ones(4, bool), ["a", "a", "b", "b"])
    assert by_group.sentence(flawless) == "The examples of all 2 groups are right."
    single = by_group.scores(np.array([True, False]), ["a", "b"])
    assert by_group.sentence(single) == "", "the accuracy says as much"


def test_chance_alone_puts_some_group_behind_the_others_in_few_trials() -> None:
    """With 30 groups and no real difference, at most 5 % of the reports name one."""
    rng = np.random.default_rng(0)
    images = rng.integers(1, 30, 30)
    alarms = [by_group.behind(rng.binomial(images, 0.8), images).min() < 0.05 for _ in range(2000)]
    assert np.mean(alarms) < 0.05


@pytest.mark.parametrize("count", [2, 10, 100, 1000])
def test_the_picture_of_any_number_of_groups_stays_small(count: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = np.repeat([f"sender ${number} of a long name" for number in range(count)], 6).tolist()
    scores = by_group.scores(rng.random(6 * count) < 0.7, names)
    picture = tmp_path / "bars.png"
    bars.of_test(picture, reports.evaluation(per_class=CLASSES, per_group=scores))
    with Image.open(picture) as image:
        width, height = image.size
    assert width == 1200
    assert height <= 1100
