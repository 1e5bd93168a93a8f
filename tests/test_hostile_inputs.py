"""Files and streams from strangers as inputs of `serving`: one sentence, in bounded memory."""

from __future__ import annotations

import dataclasses
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from serving import Bundle, InputError
from serving.commands import predict
from serving.commands.bench import noise
from serving.model_card import ModelCard, Preprocessing, Tensor
from serving.typed_json import Text
from tests.conftest import ROOT
from tests.device import Done
from tests.waiting import SECONDS

GIGABYTES = 4 << 30
SHAPE = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"
HEADERS = {
    "of 10 TB": SHAPE % "(1000000000000, 40, 2)",
    "of a size beyond 64 bits": SHAPE % f"({2**70},)",
    "of a boolean size": SHAPE % "(True, 40, 2)",
    "of Python objects": SHAPE.replace("<f4", "|O") % "(1,)",
    "with a key that is a list": "{[]: 1}",
    "without an end": "{'descr': '",
    "in deep brackets": "(" * 9000,
    "of very many signs": "-" * 9000 + "1",
}


def npy(header: str) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + bytes(320)


@pytest.fixture(scope="module")
def of_series(archive: Path) -> ModelCard:
    tensor = Tensor("image", "float32", (40, 2), (-9, 9))
    how = Preprocessing("none", Text("40 measurements"))
    return dataclasses.replace(Bundle(archive).card, input=tensor, preprocessing=how)


@pytest.mark.parametrize("data", [*map(npy, HEADERS.values()), b""])
def test_a_damaged_npy_file_is_refused_in_one_sentence(
    of_series: ModelCard, tmp_path: Path, data: bytes
) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    for source in (data, tmp_path / "a.npy"):
        with pytest.raises(InputError, match=r"a.npy is not an input of .* expected a .npy file"):
            list(predict._named(source, "a.npy", of_series))


def predicted(archive: Path, stdin: str) -> Done:
    """What becomes of the picture on standard input, for which the shell has `stdin`."""
    command = [sys.executable, "-m", "serving", "predict", str(archive), "-"]
    return subprocess.run(
        ["sh", "-c", f'"$@" {stdin}', "sh", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES, GIGABYTES)),
    )


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        ("< /dev/zero", "error: standard input has over 268,435,456 bytes; name a file"),
        ("<&-", "error: the body is not a picture; expected PNG"),
    ],
)
def test_standard_input_may_be_endless_or_closed(archive: Path, stdin: str, sentence: str) -> None:
    done = predicted(archive, stdin)
    assert done.returncode == 1
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_noise_to_measure_the_speed_is_within_the_range_of_the_input() -> None:
    """Also of a sensor that measures nothing above 0."""
    for kind, low, high in (("float32", -20, -5), ("uint8", 0, 255), ("int32", 0, 9)):
        inputs = noise(Tensor("image", kind, (40, 2), (low, high)))
        assert inputs.dtype == kind
        assert low <= inputs.min() < inputs.max() <= high
