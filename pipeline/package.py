"""Stage 10: the bundle a device gets: the files that are not worse, their model card, golden vectors, the serving wheel.

    python -m pipeline.package             the gate: no bundle where a gate fails
    python -m pipeline.package --draft     all the same, into draft/, marked as not proven

Reads: exported/, embedded/, the reports, evaluation/, data/prepared/test, serving/. Writes: dist/<name>-<version>.tar.gz, the
same bytes for the same input.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import uv

from pipeline.bundle import (
    acceptance,
    archive,
    card,
    card_markdown,
    drift_reference,
    gates,
    golden_photos,
)
from pipeline.bundle.acceptance import AcceptanceSet
from pipeline.bundle.golden import NO_LABEL
from pipeline.config import params
from pipeline.files import artifacts, atomic
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.tracking import runs
from serving import bundle, classifier, text
from serving.model_card import ModelCard

SERVING = Path("serving")
DEVICES = Path(
    "pipeline/bundle/requirements"
)  # resolved for every Python, where the project's own lock knows one
WHEELS = "wheels"
ARMV7 = "# beside python3-numpy and python3-pil of Debian 12, as the package index has neither for armv7\n"
WHEEL_TIME = 315532800  # 1980-01-01, the earliest time a zip entry can have


def requirements(group: str, *left_out: str) -> str:
    """The packages of a dependency group with their hashes, for each Python that `serving` runs on."""
    command = [
        uv.find_uv_bin(),
        "export",
        "--frozen",
        "--quiet",
        "--no-header",
        "--project",
        str(DEVICES),
        "--only-group",
        group,
    ]
    command += [
        argument for name in ("serving", *left_out) for argument in ("--no-emit-package", name)
    ]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"the requirements of {group} could not be read from {DEVICES}/uv.lock: {' '.join(done.stderr.split())}"
        )
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """The `serving` distribution; hatchling gives every entry the time SOURCE_DATE_EPOCH, so equal sources are equal bytes."""
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "--target",
        "wheel",
        "--directory",
        str(folder.absolute()),
    ]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(WHEEL_TIME)}
    done = subprocess.run(
        command, cwd=SERVING, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(
            f"the wheel of {SERVING} could not be built: {' '.join(done.stderr.split())[-300:]}"
        )
    return next(folder.glob("*.whl"))


def fill_vocabulary(folder: Path, data: artifacts.Description) -> None:
    """What the ids mean; and where they are words, texts with their ids, so that a tokenizer in any language can be tried."""
    (folder / text.FILE).write_text(
        "".join(f"{word}\n" for word in data.vocabulary), encoding="utf-8"
    )
    if data.examples:
        ids = text.Vocabulary(data.vocabulary, data.input_shape[0]).ids(data.examples).tolist()
        golden = [
            {"text": example, "ids": row} for example, row in zip(data.examples, ids, strict=True)
        ]
        (folder / "golden_texts.json").write_text(
            json.dumps(golden, indent=1) + "\n", encoding="utf-8"
        )


def fill_requirements(folder: Path, wheel: Path, runtimes: set[str]) -> None:
    """What pip installs on a device, one file for each runtime, and what it installs beside one of them."""
    own = f"./{WHEELS}/{wheel.name} --hash=sha256:{artifacts.sha256(wheel)}\n"
    contents = {runtime: requirements(runtime) + own for runtime in runtimes}
    if "tflite_runtime" in runtimes:
        contents["tflite_runtime_armv7"] = (
            ARMV7 + requirements("tflite_runtime", "numpy", "pillow") + own
        )
    contents["http"] = requirements("http", "numpy", "pillow")
    contents["certificates"] = requirements("certificates", "numpy", "pillow")
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.txt").write_text(content, encoding="utf-8")


def fill(
    folder: Path, content: ModelCard, data: artifacts.Description, accepted: AcceptanceSet | str
) -> None:
    """Writes all that belongs into the bundle."""
    for file in content.files:
        shutil.copy(artifacts.EXPORTED / file.file, folder / file.file)
    if content.embedded:
        shutil.copytree(artifacts.EMBEDDED, folder / artifacts.EMBEDDED)
    shutil.copy(artifacts.GOLDEN, folder / classifier.GOLDEN)
    if isinstance(accepted, AcceptanceSet):
        acceptance.write(folder, accepted, content)
    with np.load(artifacts.GOLDEN, allow_pickle=False) as golden:
        missing = [file.format for file in content.files if file.format not in golden.files]
        if missing:
            raise UserError(
                f"{artifacts.GOLDEN} has no golden vectors of {', '.join(missing)}; run `dvc repro --force --downstream verify`"
            )
        if data.holds_ids:
            fill_vocabulary(folder, data)
        else:
            recorded = golden["labels"] != NO_LABEL
            golden_photos.write(
                folder / "photos",
                content,
                golden["images"][recorded if recorded.any() else ~recorded],
            )
    proven = {proof.runtime for file in content.files for proof in file.proofs}
    fill_requirements(folder / "requirements", build_wheel(folder / WHEELS), proven)
    (folder / "pictures").mkdir()
    shown = [
        name
        for name in card_markdown.PICTURES
        if name != card_markdown.OF_TEST_IMAGES or not data.not_passed_on
    ]
    for name in shown:
        shutil.copy(artifacts.REPORTS / f"{name}.png", folder / "pictures")
    card_markdown.write(folder, content)


def pack(
    content: ModelCard, data: artifacts.Description, accepted: AcceptanceSet | str, target: Path
) -> int:
    """Writes the bundle `target`; its size in bytes."""
    with tempfile.TemporaryDirectory() as folder, atomic.replacing(target) as temporary:
        fill(Path(folder), content, data, accepted)
        archive.write(Path(folder), temporary, f"{content.name}-{content.version}")
        archive.check(temporary)
    return target.stat().st_size


def notes(content: ModelCard) -> list[str]:
    """What the maker should know of the bundle."""
    shortfall = acceptance.shortfall(content)
    return [f"note: its acceptance set has {shortfall}"] if shortfall else []


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.package")
    parser.add_argument(
        "--draft", action="store_true", help="pack what there is, marked as not proven, into draft/"
    )
    draft = parser.parse_args().draft
    chosen = params.load()
    names = ("train", "evaluate", "export", "verify", "embed")
    reports = {name: artifacts.load_json(artifacts.report(name)) for name in names}
    failures = gates.failures(chosen, reports)
    if failures and not draft:
        runs.sync()
        raise UserError(
            f"no bundle: {'; '.join(failures)}. `make draft` packs what there is, marked as not proven"
        )
    data = artifacts.load_description()
    images, labels = artifacts.load_split("test")
    probabilities = artifacts.load_array(artifacts.TEST_PROBABILITIES)
    accepted = acceptance.choose(chosen, data, images, labels, probabilities)
    content = card.build(
        chosen, reports, data, drift_reference.summarize(images, probabilities, labels), draft=draft
    )
    content = acceptance.add_to_card(content, accepted)
    if not content.files:
        raise UserError(
            "no exported file ran, so there is nothing to package; see reports/verify.json"
        )
    root = f"{content.name}-{content.version}"
    if draft:
        target = artifacts.empty(artifacts.DRAFT) / f"{root}-NOT-PROVEN{bundle.SUFFIX}"
        size = pack(content, data, accepted, target)
        print(
            "\n".join(
                [
                    f"{target}: NOT PROVEN, {size:,} bytes; serving loads it with --draft",
                    *failures,
                    *notes(content),
                ]
            )
        )
        return
    target = artifacts.empty(artifacts.DIST) / f"{root}{bundle.SUFFIX}"
    size = pack(content, data, accepted, target)
    artifacts.save_json(
        artifacts.report("package"),
        {
            "model_sha256": content.provenance["model_sha256"],
            "file": target.name,
            "bytes": size,
            "sha256": artifacts.sha256(target),
            "formats": [file.format for file in content.files],
            "runtimes": sorted({proof.runtime for file in content.files for proof in file.proofs}),
        },
    )
    print("\n".join([f"{target}: {len(content.files)} files, {size:,} bytes", *notes(content)]))
    runs.sync()


if __name__ == "__main__":
    stage.run(main)
