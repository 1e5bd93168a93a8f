"""Stage 8: the bundle a device gets: the files that passed, their model card, golden vectors, the serving code.

    python -m pipeline.package

Reads: exported/, the reports, evaluation/golden.npz, serving/. Writes: dist/<name>-<version>.tar.gz, the same bytes for
the same input.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import uv

from pipeline import artifacts, params, stage, tracking
from pipeline.params import Params
from pipeline.stage import UserError
from serving import runtimes
from serving.model_card import ModelCard, ModelFile, Proof

SERVING = Path("serving")


def model_card(chosen: Params, reports: dict[str, Any], description: artifacts.Description) -> ModelCard:
    """The card of the files that passed at least once and failed nowhere."""
    evaluation = reports["evaluate"]
    height, width, channels = description.input_shape
    return ModelCard(
        name=chosen.problem.name,
        version=chosen.problem.version,
        statement=chosen.problem.statement,
        class_names=description.class_names,
        input_shape=(height, width, channels),
        input_range=(0, 255),
        test_accuracy=evaluation["test_accuracy"],
        test_accuracy_interval=tuple(evaluation["test_accuracy_interval"]),
        files=[
            model_file(name, reports)
            for name in reports["export"]["formats"]
            if all(pair["state"] == "passed" for pair in _pairs(name, reports))
        ],
        provenance={
            "dataset": description.name,
            "test_images_sha256": description.sha256["test_images"],
            "train_images_sha256": description.sha256["train_images"],
            "model_sha256": evaluation["model_sha256"],
            "training_key": reports["train"]["training_key"],
            "architecture": chosen.train.architecture,
        },
    )


def _pairs(name: str, reports: dict[str, Any]) -> list[dict[str, Any]]:
    return [pair for pair in reports["verify"]["pairs"] if pair["format"] == name]


def model_file(name: str, reports: dict[str, Any]) -> ModelFile:
    entry = reports["export"]["formats"][name]
    proofs = [
        Proof(
            runtime=pair["runtime"],
            runtime_version=pair["runtime_version"],
            images=pair["images"],
            accuracy=pair["accuracy"],
            accuracy_interval=tuple(pair["accuracy_interval"]),
            accuracy_lost_bound=pair["accuracy_lost_bound"],
            agreement=pair["agreement"],
            median_milliseconds=pair.get("median_milliseconds"),
            processor=pair.get("processor"),
            arena_bytes=pair.get("arena_bytes"),
        )
        for pair in _pairs(name, reports)
    ]
    minimum = _pairs(name, reports)[0]["preflight"]["minimum_runtime_version"]
    return ModelFile(name, entry["file"], entry["bytes"], entry["sha256"], minimum, proofs)


def requirements(runtime: str) -> str:
    """The runtime's packages as uv.lock pins them, with their hashes."""
    command = [uv.find_uv_bin(), "export", "--frozen", "--quiet", "--no-header", "--only-group", runtime, "--no-emit-package", "serving"]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"the requirements of {runtime} could not be read from uv.lock: {' '.join(done.stderr.split())}")
    return done.stdout


def fill(folder: Path, card: ModelCard) -> None:
    """Writes all that belongs into the bundle."""
    for file in card.files:
        shutil.copy(artifacts.EXPORTED / file.file, folder / file.file)
    card.save(folder)
    shutil.copy(artifacts.GOLDEN, folder / "golden.npz")
    (folder / "serving").mkdir()
    for module in sorted(SERVING.glob("*.py")):
        shutil.copy(module, folder / "serving" / module.name)
    for runtime in sorted({proof.runtime for file in card.files for proof in file.proofs}):
        (folder / f"requirements-{runtime}.txt").write_text(requirements(runtime), encoding="utf-8")


def archive(folder: Path, target: Path, root: str) -> None:
    """`folder` as a tar.gz under the name `root`, without times and owners."""
    with target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = tarfile.TarInfo(f"{root}/{path.relative_to(folder)}")
            info.size, info.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(info, file)


def check_golden(card: ModelCard) -> None:
    with np.load(artifacts.GOLDEN, allow_pickle=False) as golden:
        missing = [file.format for file in card.files if file.format not in golden.files]
    if missing:
        raise UserError(f"{artifacts.GOLDEN} has no golden vectors of {', '.join(missing)}; run `dvc repro --force verify`")


def main() -> None:
    chosen = params.load()
    names = ("train", "evaluate", "export", "verify")
    reports = {name: artifacts.load_json(artifacts.report(name)) for name in names}
    card = model_card(chosen, reports, artifacts.load_description())
    if not card.files:
        raise UserError("no exported file passed verification, so there is nothing to package; see reports/verify.json")
    check_golden(card)
    root = f"{card.name}-{card.version}"
    artifacts.empty(artifacts.DIST)
    target = artifacts.DIST / f"{root}.tar.gz"
    with tempfile.TemporaryDirectory() as name, stage.replacing(target) as temporary:
        fill(Path(name), card)
        archive(Path(name), temporary, root)
    size = target.stat().st_size
    artifacts.save_json(
        artifacts.report("package"),
        {
            "model_sha256": card.provenance["model_sha256"],
            "file": target.name,
            "bytes": size,
            "sha256": artifacts.sha256(target),
            "formats": [file.format for file in card.files],
            "runtimes": sorted({proof.runtime for file in card.files for proof in file.proofs} & set(runtimes.DISTRIBUTIONS)),
        },
    )
    print(f"{target}: {len(card.files)} files proven, {size:,} bytes")
    tracking.sync()


if __name__ == "__main__":
    stage.run(main)
