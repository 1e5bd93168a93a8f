"""MLflow's store in a checkout of any name, and a table of classes of any name.

Real SQLite stores, written and read.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from pipeline.files.reports.run import RunReports
from pipeline.tracking import local_store, record
from tests import reports

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow

PATHS = ["50% off, 100%25 %(here)s %20", "sharp#1?now=1&then", "Käse 日本 a'b;c+d@e[f]"]
CLASSES = [
    "<5 mm",
    ">5 mm",
    "C++",
    "C##",
    "C",
    "a/b",
    "a:b",
    "_5 mm",
    "ä",
    "a\u0308",
    "x" * 300,
    "x" * 299 + "y",
    "☃",
    "..",
    "cat",
]


@pytest.mark.parametrize("name", PATHS)
def test_a_checkout_of_any_name_contains_its_store(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    (tmp_path / name).mkdir()
    home = (tmp_path / name).rename(tmp_path / f"was {name}")
    for _ in ("fresh", "moved"):
        monkeypatch.chdir(tmp_path)
        local_store.relocate_artifacts(home, "digits")
        store = mlflow.MlflowClient(local_store.address(home))
        experiment = store.get_experiment_by_name("digits")
        number = (
            experiment.experiment_id
            if experiment
            else store.create_experiment("digits", local_store.artifacts(home))
        )
        run = store.create_run(number)
        (tmp_path / "file.txt").write_text("a file")
        store.log_artifact(run.info.run_id, str(tmp_path / "file.txt"), "reports")
        assert [file.path for file in store.list_artifacts(run.info.run_id, "reports")] == [
            "reports/file.txt"
        ]
        assert sorted(path.name for path in home.iterdir()) == ["mlflow.db", "mlruns"]
        assert len(list(home.glob(f"mlruns/{run.info.run_id}/artifacts/reports/file.txt"))) == 1
        assert {path.name for path in tmp_path.iterdir()} == {"file.txt", home.name}
        home = home.rename(tmp_path / name)


def test_mlflow_finds_its_migrations_in_a_path_with_a_percent_sign(tmp_path: Path) -> None:
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    folder = tmp_path / "50% off" / "100%25" / "db_migrations"
    shutil.copytree(Path(utils.__file__).parents[1] / "db_migrations", folder)
    with local_store.linked_folder(folder) as link:
        config = utils._get_alembic_config("sqlite:///50%25/mlflow.db", str(link))
        assert len(ScriptDirectory.from_config(config).get_heads()) == 1
        assert (
            config.get_section(config.config_ini_section)["sqlalchemy.url"]
            == "sqlite:///50%25/mlflow.db"
        )
    # When this is no longer raised, the link is no longer needed.
    with pytest.raises(ValueError, match="invalid interpolation syntax"):
        utils._get_alembic_config("sqlite:///mlflow.db", str(folder))


def test_the_table_of_classes_has_them_by_any_name(tmp_path: Path) -> None:
    import mlflow

    same = {"images": 9, "precision": 1.0, "recall_interval": (0.0, 1.0), "f1": 1.0}
    scores = {label: {**same, "recall": float(number)} for number, label in enumerate(CLASSES)}
    run_reports = RunReports(evaluate=reports.evaluation(per_class=scores))
    store = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = store.create_run(store.create_experiment("classes", (tmp_path / "runs").as_uri()))
    record.log_tables(store, run, run_reports)
    record.log_figures(store, run, run_reports)
    file = store.download_artifacts(run.info.run_id, "tables/classes.csv", str(tmp_path))
    rows = list(csv.DictReader(Path(file).read_text(encoding="utf-8").splitlines()))
    assert [row["class"] for row in rows] == CLASSES
    assert [float(row["recall"]) for row in rows] == list(range(len(CLASSES)))
    assert [file.path for file in store.list_artifacts(run.info.run_id, "tables")] == [
        "tables/classes.csv"
    ]
