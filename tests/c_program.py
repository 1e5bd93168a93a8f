"""The program in C of a bundle, run on all images of its acceptance set."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.embedded import c
from pipeline.files.artifacts import Array
from serving import Bundle, Classifier
from serving.acceptance import Acceptance


@dataclass(frozen=True)
class Ran:
    """What it says of each image, its outputs (N, K), and what `--prove` prints."""

    card: Any
    acceptance: Acceptance
    answers: list[str]
    outputs: Array
    figures: dict[str, str]
    sentence: str
    status: int


def run(archive: Path, folder: Path) -> Ran:
    shutil.unpack_archive(archive, folder)
    (root,) = folder.iterdir()
    bundle, program = Bundle(archive), root / "embedded/c/programs" / f"classify-{c.HERE}"
    accepted = Acceptance.load(bundle)
    command: list[str | Path] = [program, "-"]
    done = subprocess.run(command, input=accepted.images.tobytes(), capture_output=True, check=True)
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    outputs = np.array([row[2:] for row in rows], np.float32)
    command = [program, "--prove", root / "embedded/c/acceptance.bin"]
    proof = subprocess.run(command, capture_output=True, text=True, check=False)
    *lines, sentence = proof.stdout.splitlines()
    figures = dict(line.split("\t") for line in lines)
    answers = [row[1] for row in rows]
    return Ran(bundle.card, accepted, answers, outputs, figures, sentence, proof.returncode)


def classifier(archive: Path) -> Classifier:
    return Classifier.load(archive, "tflite_int8", "litert")
