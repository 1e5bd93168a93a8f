"""Photos that belong together are never in two splits."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy import stats

from pipeline import download, preprocess
from pipeline.config import params
from pipeline.config.params import Params, Preprocess
from pipeline.files import groups, pictures, raw, splits
from pipeline.files.artifacts import Array
from pipeline.files.picture_file import inspect
from pipeline.files.picture_table import Picture, Table
from pipeline.process.errors import UserError
from pipeline.reporting import bars, by_folds, by_group, statistics
from pipeline.search import cached_training, folds, group_folds
from pipeline.search.analysis import Analysis, Options
from pipeline.search.announcement import announce
from pipeline.search.engine import Engine
from tests import reports
from tests.conftest import ROOT

CLASSES = {
    name: {"images": 9, "precision": 1, "recall": 1, "recall_interval": (0.6, 1), "f1": 1}
    for name in "ab"
}


NONE = "00" * 32  # a digest or hash that says nothing


def settings(**values: object) -> Preprocess:
    return Preprocess.model_validate(
        {"subset": None, "validation": 0.2, "order": "stratified", "seed": 42, **values}
    )


def picture(file: str, image: Image.Image, **columns: str) -> Picture:
    data = io.BytesIO()
    image.save(data, "PNG")
    bytes_ = data.getvalue()
    return Picture(
        file, hashlib.sha256(bytes_).hexdigest(), inspect(bytes_, None)[0], None, columns
    )


def hashed(number: int, hash_: str) -> Picture:
    return Picture(str(number), f"{number:064x}", hash_)


def table(rows: list[Picture]) -> Table:
    return Table.of(rows, len(rows))


def scene(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)


@hypothesis.settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    order=st.sampled_from(["stratified", "random", "first", "last"]),
    sizes=st.lists(st.integers(1, 8), min_size=30, max_size=60),
)
def test_no_group_is_in_two_splits_and_every_row_in_one(
    seed: int, order: str, sizes: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    members = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    labels = rng.integers(0, 2, len(members))
    rows = splits.splits(labels, 0.2, settings(order=order, seed=seed), None, members)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(members)))
    parts = [set(members[part]) for part in rows.values()]
    assert sum(map(len, parts)) == len(set(members))
    if order == "stratified":
        assert abs(len(rows["test"]) / len(members) - 0.2) < 0.1


def test_groups_are_split_off_with_the_classes_in_proportion() -> None:
    rng = np.random.default_rng(0)
    members = np.repeat(np.arange(250), 4)
    labels = np.repeat(rng.choice(3, 250, p=[0.6, 0.3, 0.1]), 4)
    rows = splits.splits(labels, None, settings(), None, members)
    shares = np.bincount(labels[rows["validation"]]) / np.bincount(labels)
    assert np.abs(shares - 0.2).max() < 0.03


def test_of_four_cameras_one_is_the_test_set_and_one_validates() -> None:
    members, labels = np.repeat(np.arange(4), 50), np.tile([0, 1], 100)
    rows = splits.splits(labels, 0.2, settings(validation=0.1), None, members)
    assert [len(set(members[rows[part]])) for part in ("train", "validation", "test")] == [2, 1, 1]


def test_a_rare_class_in_few_groups_is_in_every_split() -> None:
    """As in photos by many senders, three of whom have the class, among many others."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        members = rng.integers(0, 60, 1200)
        labels = rng.integers(0, 5, 1200)
        for group in rng.permutation(60)[:3]:
            labels[np.flatnonzero(members == group)[:2]] = 5
        rows = splits.splits(labels, 0.2, settings(validation=0.1, seed=seed), None, members)
        assert all((np.bincount(labels[part], minlength=6) > 0).all() for part in rows.values())


def test_groups_that_cannot_be_split_are_refused() -> None:
    members, labels = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    with pytest.raises(UserError, match="in 2 groups, none of which can be split off"):
        splits.splits(labels, None, settings(), None, members)


def test_without_groups_the_split_is_as_it_was() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 200)
    plain = splits.splits(labels, 0.2, settings())
    alone = splits.splits(labels, 0.2, settings(), None, np.arange(200))
    for part in plain:
        np.testing.assert_array_equal(plain[part], alone[part])


def test_a_group_is_a_column_or_a_pattern_of_the_path() -> None:
    rows = table(
        [
            Picture("cat/camera1_7.png", NONE, NONE, None, {"label": "cat", "sender": "7"}),
            Picture("dog/camera2_7.png", NONE, NONE, None, {"label": "dog", "sender": ""}),
        ]
    )
    assert groups.names(rows, "sender")[0] == "7"
    without = groups.names(rows[np.array([0, 1, 1])], "sender")
    assert len(set(groups.of_names(without))) == 3  # an empty cell groups nothing
    assert groups.names(rows, r"(camera\d)_") == ["camera1", "camera2"]
    assert groups.names(rows, r"_\d+") == ["_7", "_7"]
    with pytest.raises(UserError, match=r"'camera1' is not a column \(label, sender\).* 1 of 2"):
        groups.names(rows, "camera1")
    with pytest.raises(UserError, match=r"neither a column .* nor a regular expression"):
        groups.names(rows, "(")


def test_copies_and_near_copies_belong_together_and_other_pictures_do_not() -> None:
    first = scene(0)
    photos = [
        picture("a", first),
        picture("a copy", first),
        picture("smaller", first.resize((60, 60))),
        picture("brighter", ImageEnhance.Brightness(first).enhance(1.1)),
        picture("shifted", first.transform(first.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0))),
        *(picture(f"other {seed}", scene(seed)) for seed in range(1, 200)),
    ]
    rows = table(photos)
    numbers = groups.together(rows, None)
    assert len(set(numbers[:5])) == 1
    assert len(set(numbers)) == 200
    assert groups.of_copies(rows) == [["a", "a copy", "brighter", "shifted", "smaller"]]


def test_near_pairs_are_those_that_a_comparison_of_all_finds() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (300, 256)).astype(np.uint8)
    for row in range(150):  # each differs from another in up to 20 bits
        bits[150 + row] = bits[row]
        flipped = rng.permutation(256)[: row % 21]
        bits[150 + row, flipped] ^= 1
    rows = table([hashed(n, np.packbits(b).tobytes().hex()) for n, b in enumerate(bits)])
    pairs = {tuple(sorted(pair)) for pair in groups.near_copies(rows).tolist()}
    distances = (bits[:, None] != bits[None]).sum(2)
    expected = {(a, b) for a, b in np.argwhere(distances <= groups.NEAR).tolist() if a < b}
    assert pairs == expected


def test_thousands_of_copies_have_few_pairs_that_connect_them_all() -> None:
    rows = table([hashed(n, (NONE, "ff" * 32)[n % 2]) for n in range(3000)])
    pairs = groups.near_copies(rows)
    assert len(pairs) <= groups.MOST_PAIRS * len(rows)
    numbers = groups._components(len(rows), [pairs])
    assert (numbers == numbers[:2][np.arange(3000) % 2]).all()
    assert numbers[0] != numbers[1]


def test_thousands_of_blank_pictures_are_not_one_group() -> None:
    blank = table([hashed(number, NONE) for number in range(3000)])
    assert len(set(groups.together(blank, None))) == 3000


@pytest.fixture
def cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Two classes by five cameras, eight photos each; the first is also a copy in another class."""
    for camera in range(5):
        for label in range(2):
            for number in range(8):
                path = tmp_path / "photos" / "ab"[label] / f"camera{camera}_{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                scene(1000 * camera + 100 * label + number).save(path)
    monkeypatch.chdir(tmp_path)
    dataset = {"name": "image_folder", "path": "photos", "height": 8, "width": 8, "channels": 3}
    values = {f"dataset.{key}": value for key, value in dataset.items()}
    result = params.override(
        params.load(ROOT / "params.yaml"), {**values, "preprocess.group": r"(camera\d)"}
    )
    (tmp_path / "params.yaml").write_text(result.model_dump_json())
    return result


def test_the_report_counts_groups_and_lists_copies(
    cameras: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    scene(0).save("photos/b/camera0_9.png")
    download.main()
    preprocess.main()
    report = json.loads(Path("reports/preprocess.json").read_text())["together"]
    assert report["groups"] == {"train": 3, "validation": 1, "test": 1}
    assert report["shared_groups"] == []
    assert report["copies"] == [["a/camera0_0.png", "b/camera0_9.png"]]
    printed = capsys.readouterr().out
    assert "groups: train: 3, validation: 1, test: 1" in printed
    assert "2 pictures are copies or near copies, such as a/camera0_0.png and b/cam" in printed


def test_folds_keep_groups_apart(cameras: Params) -> None:
    download.main()
    rows = np.concatenate(cached_training.split_rows(cameras))
    groups_found = raw.groups(cameras.preprocess.group)
    assert groups_found is not None
    members, labels = groups_found[rows], cached_training.strata()[rows]
    for train, validation in folds.split(labels, members, 4, 0):
        assert not set(members[train]) & set(members[validation])
    with pytest.raises(UserError, match="expected at most 4, the number of groups"):
        folds.split(labels, members, 5, 0)


@pytest.fixture
def people(cameras: Params, monkeypatch: pytest.MonkeyPatch) -> Analysis:
    """Folds by group of three people, one of whom has the labels of the other class."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # where nobody listens
    cached_training.data_digests.cache_clear()
    small = {"architecture": "mlp", "augmentation": [], "epochs": 30, "batch_size": 4}
    small |= {"keep": "last"}  # the best epoch for wrong labels is one that has learned nothing
    values = {f"train.{key}": value for key, value in small.items()}
    arrays(params.override(cameras, {**values, "train.network.hidden": [32]}))
    return Analysis("folds", Options(), by="group", folds=None)


def test_each_group_is_held_out_once_and_never_trained_on_then(people: Analysis) -> None:
    data = group_folds.examples(people)
    each = group_folds.trainings(people, data, None)
    assert [training.name for training in each] == ["without 0", "without 1", "without 2"]
    for person, training in enumerate(each):
        assert training.validation_rows.tolist() == list(range(8 * person, 8 * person + 8))
        assert sorted([*training.rows, *training.validation_rows]) == list(range(24))
    two = group_folds.trainings(people, data, 2)
    held_out = [set(data.names[training.validation_rows]) for training in two]
    assert [training.name for training in two] == ["fold 1 of 2", "fold 2 of 2"]
    assert held_out[0] | held_out[1] == {"0", "1", "2"}
    assert not held_out[0] & held_out[1]
    for count in (1, 4):
        with pytest.raises(UserError, match="expected 2 to 3, the number of groups"):
            group_folds.trainings(people, data, count)


def test_groups_that_share_a_copy_are_held_out_together() -> None:
    names, together = np.array(["a", "a", "b", "c", "", ""]), np.array([0, 0, 0, 1, 2, 1])
    data = group_folds.Examples(np.arange(6), names, together, np.zeros(6, int))
    assert [data.held_out(unit) for unit in data.units] == ["a + b", "c"]


def test_folds_by_group_need_groups(people: Analysis) -> None:
    without = Analysis("folds", Options(["preprocess.group=null"]))
    with pytest.raises(UserError, match=r"--by group needs groups, and preprocess\.group is null"):
        group_folds.examples(without)


def test_in_folds_of_groups_each_group_counts_the_same(people: Analysis) -> None:
    """Person 2 is half right, the others are all right; some rows have no group."""
    data = group_folds.examples(people)
    data = replace(data, names=np.where(np.arange(24) < 2, "", data.names))
    two = group_folds.trainings(people, data, 2)
    scores = group_folds.score(data, two, [part.validation_rows < 20 for part in two])
    assert {name: (score.right, score.images) for name, score in scores.items()} == {
        "2": (4, 8),
        "1": (8, 8),
        "0": (6, 6),
    }
    report = group_folds.report(data, two, scores)
    folds_of = [set(data.names[part.validation_rows]) - {""} for part in two]
    means = [float(np.mean([scores[name].accuracy for name in part])) for part in folds_of]
    assert report.figures["mean_group_accuracy"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert report.figures["interval_low"] == max(0, 2.5 / 3 - by_folds.half_width(means))
    assert report.table[-1][-1] == "18 of 22"
    assert report.notes[-1] == "2 examples have no group, and are in no row of the table."
    alone = replace(data, strata=np.where(data.together == data.together[-1], 1, 0))
    (note,) = [note for note in group_folds.report(alone, two, scores).notes if "While" in note]
    assert "no example of '1' is left to train on" in note


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_folds_by_group_find_the_person_whose_labels_are_wrong(
    people: Analysis, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trainings run in this process, and the command reads all of them."""
    data = group_folds.examples(people)
    each = group_folds.trainings(people, data, None)
    announce(each, Engine())
    assert capsys.readouterr().out == (
        "3 trainings of 30 epochs, each on 16 examples or more; how long they take is shown after "
        "the first two epochs\n"
    )
    results = [training.run() for training in each[:2]]
    right = [training.right() for training in each[:2]]
    assert all(len(part) == 8 for part in right)
    assert [round(result.accuracy * 8) for result in results] == [part.sum() for part in right]
    announce(each, Engine())
    assert "1 training of 30 epochs" in capsys.readouterr().out
    each[2].run()
    group_folds.cross_validate(None, Options())
    shown = capsys.readouterr().out
    assert "3 of 3 trainings already done" in shown
    assert "The worst of 3 groups is '2': 0 of 8 examples are right" in shown
    page = Path("reports/folds.md").read_text()
    assert "| 2 | 0.00 % | 0.00 to 36.94 % | 0 of 8 |" in page
    accuracies = [result.accuracy for result in [training.run() for training in each]]
    low, high = by_folds.interval(accuracies)
    mean = f"{100 * np.mean(accuracies):.2f} %"
    assert f"| mean | {mean} | {100 * low:.2f} to {100 * high:.2f} % |" in page
    assert Path("reports/folds.png").stat().st_size > 10_000


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
    without = params.override(cameras, {"preprocess.group": None})
    Path("params.yaml").write_text(without.model_dump_json())
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
    changed = params.override(cameras, {**values, "preprocess.group": "camera"})
    Path("params.yaml").write_text(changed.model_dump_json())
    download.main()
    preprocess.main()
    report = json.loads(Path("reports/preprocess.json").read_text())["together"]
    assert report["shared_groups"] == []
    assert sum(report["groups"].values()) == 5 + 40


def arrays(settings: Params, **more: Array) -> Params:
    """An npz file of 40 images by five people, two of whom are the test set of its own.

    Class 1 is bright, and the images of person 2 have the labels of the other class.
    """
    rng = np.random.default_rng(0)
    person = np.arange(40) // 8
    labels = np.arange(40) % 2
    bright = labels ^ (person == 2)
    images = (rng.integers(0, 100, (40, 8, 8)) + 150 * bright[:, None, None]).astype(np.uint8)
    parts = {"x": images, "y": labels, "person": person}
    content = {f"{name}_train": values[:24] for name, values in parts.items()}
    content |= {f"{name}_test": values[24:] for name, values in parts.items()}
    content |= more
    np.savez("own.npz", allow_pickle=False, **content)
    values = {"dataset.name": "npz", "dataset.path": "own.npz", "preprocess.group": "person"}
    changed = params.override(settings, values)
    Path("params.yaml").write_text(changed.model_dump_json())
    download.main()
    return changed


def test_arrays_have_the_groups_that_further_arrays_name(cameras: Params) -> None:
    arrays(cameras)
    preprocess.main()
    report = json.loads(Path("reports/preprocess.json").read_text())["together"]
    assert report == {
        "copies": [],
        "groups": {"train": 2, "validation": 1, "test": 2},
        "shared_groups": [],
    }
    assert groups.load_names() == ["3"] * 8 + ["4"] * 8
    arrays(cameras, person_test=np.zeros(16, int))
    preprocess.main()
    report = json.loads(Path("reports/preprocess.json").read_text())["together"]
    assert report["shared_groups"] == ["0"]


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
        "0.00 to 60.24 %). Behind the others beyond chance: 'd' and 'b'."
    )
    even = by_group.scores(np.arange(80) % 4 > 0, names[:80])
    assert by_group.sentence(even).endswith("No group is behind the others beyond chance.")


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
