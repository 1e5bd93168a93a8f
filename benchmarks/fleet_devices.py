"""The devices of a simulated fleet: what is planted on each, and the programs that it has."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.project import ROOT
from pipeline.bundle import archive, sign
from pipeline.config.processors import EMULATED
from pipeline.field import fleet
from pipeline.runtimes import emulation, environments
from serving import acceptance
from serving.bundle import SIGNATURE_SUFFIX, SUFFIX
from serving.gate import COULD_NOT_RUN, NOT_SHOWN, PROVEN, WORSE
from serving.model_card import FILE as CARD
from serving.model_card import ModelCard

GOOD = "releases"
THOUSAND = 1000
WRONG_PICTURES = 60  # of a bundle whose acceptance images are not those that Keras answered


@dataclass(frozen=True)
class Kind:
    """Some of a thousand devices: where they fetch, what they are, and what must come of it."""

    name: str
    thousandths: int
    state: str = PROVEN
    releases: str = GOOD
    runtime: str = "litert"
    processor: str | None = None  # emulated
    cut: bool = False  # the first download of the archive breaks off


# The first takes what is left of the thousand.
KINDS = (
    Kind("LiteRT", 0),
    Kind("ONNX Runtime", 200, runtime="onnxruntime"),
    Kind("TensorFlow Lite", 50, runtime="tflite_runtime"),
    Kind("emulated Haswell", 3, runtime="onnxruntime", processor="haswell"),
    Kind("emulated Nehalem", 3, processor="nehalem"),
    Kind("emulated Cortex-A72", 3, processor="cortex-a72"),
    Kind("download cut off in the middle", 40, cut=True),
    Kind("release not shown by its maker", 10, NOT_SHOWN, "not-shown"),
    Kind("release worse than its model", 10, WORSE, "worse"),
    Kind("no runtime installed", 10, COULD_NOT_RUN, runtime=""),
    Kind("tampered archive", 20, fleet.REFUSED, "tampered"),
    Kind("older version under the new name", 20, fleet.REFUSED, "older"),
    Kind("signed with another key", 20, fleet.REFUSED, "forged"),
    Kind("host without the archive", 10, fleet.NOT_FETCHED, "nothing"),
    Kind("switched off", 10, fleet.SILENT),
)


def devices(count: int) -> dict[str, Kind]:
    """Each device by its name: the first of a shuffled thousand, which repeats after its end.

    So a larger fleet goes on with what a smaller one has done.
    """
    planted = [kind for kind in KINDS[1:] for _ in range(kind.thousandths)]
    kinds = [*planted, *[KINDS[0]] * (THOUSAND - len(planted))]
    order = np.random.default_rng(0).permutation(THOUSAND)
    return {f"device-{n:04}": kinds[order[n % THOUSAND]] for n in range(count)}


def key(path: Path) -> Path:
    """Makes a private key, and the public one beside it."""
    private = ec.generate_private_key(ec.SECP256R1())
    plain = pem.NoEncryption()
    path.write_bytes(private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, plain))
    public = private.public_key()
    path.with_suffix(".pub").write_bytes(
        public.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def publish(source: Path, host: Path) -> ModelCard:
    """Writes the releases of a host: one folder for each kind of bundle. Returns the card."""
    maker, other = key(host / "maker.pem"), key(host / "other.pem")
    unpacked = archive.unpack(source, host)
    card = ModelCard.parse((unpacked / CARD).read_bytes())
    name = f"{card.name}-{card.version}"
    _release(unpacked, host / GOOD, name, maker)
    _release(unpacked, host / "forged", name, other)
    _tampered(host, name)
    _with_card(unpacked, dataclasses.replace(card, version="0"))
    _release(unpacked, host / "older", name, maker, f"{card.name}-0")
    _with_card(unpacked, _not_shown(card))
    _release(unpacked, host / "not-shown", name, maker)
    _with_card(unpacked, card)
    _other_pictures(unpacked)
    _release(unpacked, host / "worse", name, maker)
    shutil.rmtree(unpacked)
    return card


def _release(unpacked: Path, folder: Path, name: str, key: Path, root: str | None = None) -> None:
    folder.mkdir()
    archive.write(unpacked, folder / f"{name}{SUFFIX}", root or name)
    sign.sign(unpacked, folder / f"{name}{SIGNATURE_SUFFIX}", key, None, [])


def _tampered(host: Path, name: str) -> None:
    """One byte in the middle of the archive has changed on its way."""
    shutil.copytree(host / GOOD, host / "tampered")
    path = host / "tampered" / f"{name}{SUFFIX}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _with_card(unpacked: Path, card: ModelCard) -> None:
    (unpacked / CARD).write_bytes(card.dump())


def _not_shown(card: ModelCard) -> ModelCard:
    """As if the maker had verified on too few images."""
    files = []
    for file in card.files:
        proofs = [dataclasses.replace(proof, verdict=NOT_SHOWN) for proof in file.proofs]
        files.append(dataclasses.replace(file, proofs=proofs))
    return dataclasses.replace(card, files=files)


def _other_pictures(unpacked: Path) -> None:
    """Gives the first pictures to each other, so that the files answer them wrongly."""
    path = unpacked / acceptance.FILE
    with np.load(path) as stored:
        arrays = dict(stored)
    rows = np.arange(WRONG_PICTURES)
    arrays["images"][rows] = arrays["images"][np.roll(rows, WRONG_PICTURES // 2)]
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    path.write_bytes(file.getvalue())


def programs(folder: Path) -> None:
    """Writes the program `serving` of each kind of device into a folder of its own."""
    for kind in KINDS:
        path = folder.absolute() / kind.name / "serving"
        path.parent.mkdir(parents=True)
        command, variables = _python(kind, path.parent)
        words = [*(f"{name}={value}" for name, value in variables.items()), *command]
        line = subprocess.list2cmdline(["exec", "env", *words, "-m", "serving"])
        path.write_text(f'#!/bin/sh\n{line} "$@"\n')
        path.chmod(0o755)


def _python(kind: Kind, folder: Path) -> tuple[Sequence[str], dict[str, str]]:
    """The command and the variables of the Python of a device."""
    if kind.processor:
        interpreter = emulation.interpreter(kind.processor, kind.runtime)
        command = _named(interpreter.command, kind.processor, folder)
        names = ("PYTHONPATH", "PYTHONPYCACHEPREFIX")
        variables = {name: interpreter.environment[name] for name in names}
        return command, {**variables, "PYTHONPATH": f"{ROOT}:{variables['PYTHONPATH']}"}
    if kind.runtime:
        return [str(environments.python(kind.runtime))], {"PYTHONPATH": str(ROOT)}
    for part in ("numpy", "numpy.libs"):
        (folder / part).symlink_to(environments.packages("litert") / part)
    python = str(environments.FOLDER / "litert/bin/python")
    return [python, "-S"], {"PYTHONPATH": f"{ROOT}:{folder}"}


def _named(command: Sequence[str], processor: str, folder: Path) -> list[str]:
    """The command of an emulated Python whose system names the emulated processor, as real do."""
    words, root = list(command), folder / "root"
    root.mkdir()
    known = ""
    if "-L" in words:
        system = Path(words[words.index("-L") + 1])
        for entry in system.iterdir():
            (root / entry.name).symlink_to(entry.resolve())
        known = (system / "proc/cpuinfo").read_text()
        (root / "proc").unlink()
        words[words.index("-L") + 1] = str(root)
    else:
        words[3:3] = ["-L", str(root)]
    (root / "proc").mkdir()
    name = f"model name\t: {EMULATED[processor].model}, emulated\n"
    (root / "proc/cpuinfo").write_text(known + name)
    return words


def sizes(host: Path) -> Iterator[tuple[str, int]]:
    """The bytes that a device fetches: of the archive and of the signature."""
    for path in sorted((host / GOOD).iterdir()):
        yield path.suffix, path.stat().st_size


def load(path: Path) -> list[dict[str, float | str]]:
    """What each finished device took."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
