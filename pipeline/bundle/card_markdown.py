"""MODEL_CARD.md: the model card for people, after Mitchell et al., "Model Cards for Model Reporting" (2019)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bundle import acceptance
from pipeline.reporting.tables import interval, percent, table
from serving import model_card
from serving.gate import NOT_SHOWN, PROVEN, WORSE
from serving.model_card import ModelCard
from serving.model_file import ModelFile, Proof

FILE = "MODEL_CARD.md"
PICTURES = {
    "confusion": "What the test images are, and what the model takes them for",
    "mistakes": "Test images that the model gets wrong",
    "learning_curves": "Loss and accuracy over the epochs of training",
}
OF_TEST_IMAGES = "mistakes"  # the picture that shows some of them
LABELS = {  # of what `embed` measured, for people
    "wasm_bytes": "size of the WebAssembly module, bytes",
    "page_bytes": "size of the whole page, bytes",
    "program_bytes": "size of the programs, bytes",
    "stack_bytes": "stack that one image takes, bytes",
    "model_bytes": "flash for the model, bytes",
    "flash_bytes_with_runtime": "flash for the model and its runtime, bytes",
    "arena_bytes_measured": "arena in the build that takes most, bytes",
    "arena_bytes_margin": "margin for optimised kernels, bytes",
    "arena_bytes": "arena to reserve, bytes",
    "arena_bytes_esp32": "arena to reserve on an ESP32, bytes",
    "multiply_accumulates": "multiply-accumulate operations for an image",
    "test_images": "test images tried",
    "agreement_with_onnxruntime": "same class as ONNX Runtime",
    "agreement_with_litert": "same class as LiteRT",
    "largest_difference": "largest difference of a probability",
    "equal_to_the_last_bit": "probabilities equal to the last bit",
    "median_milliseconds": "one image, median, ms",
    "ram_bytes": "RAM free for the model, bytes",
    "flash_bytes": "flash, bytes",
}
INSTALL = """\
```
pip install --requirement requirements/litert.txt   # in this folder; or another runtime's file
serving check .
serving predict . picture.png
```"""
INSTALL_ON_ARMV7 = """

On armv7, with Debian 12 or a Raspberry Pi OS made from it, numpy and Pillow come from there:

```
sudo apt-get install python3-venv python3-numpy python3-pil
python3 -m venv --system-site-packages ~/device && source ~/device/bin/activate
pip install --requirement requirements/tflite_runtime_armv7.txt
```"""
COLUMNS = (
    "file",
    "bytes",
    "runtime",
    "verdict",
    "test accuracy",
    "95 % interval",
    "loses at most",
    "ms/image",
    "arena",
)
EMULATED_COLUMNS = (
    "file",
    "processor",
    "what it is",
    "runtime",
    "verdict",
    "images",
    "same class",
    "largest difference",
    "of golden vectors",
)
MEANINGS = {
    PROVEN: "*Proven*: the bound is within the loss that was allowed.",
    NOT_SHOWN: "*Not shown*: no significant loss, but too few images to bound it further.",
    WORSE: "*Worse*: a significant loss, or more than was allowed.",
}


def write(folder: Path, card: ModelCard) -> None:
    """Writes the card for programs, and the page for people with the pictures that lie in `folder`."""
    (folder / model_card.FILE).write_bytes(card.dump())
    pictures = {
        name: caption
        for name, caption in PICTURES.items()
        if (folder / f"pictures/{name}.png").exists()
    }
    (folder / FILE).write_text(render(card, pictures), encoding="utf-8")


def render(card: ModelCard, pictures: Mapping[str, str]) -> str:
    """The page in Markdown; `pictures` are captions by the name of the file."""
    sections = [
        f"# {card.name} {card.version}",
        f"**{card.statement}**",
        *_not_proven(card),
        _accuracy(card),
        f"## Use\n\n{card.use}\n\nLimits:\n\n" + "\n".join(f"- {limit}" for limit in card.limits),
        _input(card),
        f"## Files\n\n{table(COLUMNS, [_row(file, proof) for file in card.files for proof in file.proofs])}\n\n{_notes(card)}",
        *_emulated(card),
        "## What the runtimes need\n\n"
        + table(("file", "least runtime", "operators"), [_needs(file) for file in card.files]),
        *_without_python(card),
        "## Pictures\n\n"
        + "\n\n".join(
            f"![{caption}](pictures/{name}.png)\n\n*{caption}*"
            for name, caption in pictures.items()
        ),
        f"## On a device\n\n{INSTALL}{INSTALL_ON_ARMV7 if _runs_on(card, 'tflite_runtime') else ''}\n\n{_acceptance(card)}",
        "## Provenance\n\n" + table(("what", "value"), _provenance(card)),
        "## Checksums\n\n"
        + table(("file", "SHA-256"), [(file.file, f"`{file.sha256}`") for file in card.files]),
    ]
    return "\n\n".join(sections) + "\n"


def _accuracy(card: ModelCard) -> str:
    return (
        f"Test accuracy {percent(card.test_accuracy)} (95 % interval {interval(list(card.test_accuracy_interval))}) on "
        f"{card.test_images:,} images that training never saw; the baseline has {percent(card.baseline_accuracy)}."
    )


def _acceptance(card: ModelCard) -> str:
    if card.no_acceptance or not card.acceptance_images:
        return f"There is no acceptance set ({card.no_acceptance}), so that `serving prove` cannot be asked here."
    fewer = acceptance.fewer(card)
    return (
        f"`acceptance.npz` brings {card.acceptance_images:,} test images with the trained model's answers: `serving prove .` runs the "
        f"gate with them on the device itself, file by file.{f' It has {fewer}.' if fewer else ''}"
    )


def _not_proven(card: ModelCard) -> list[str]:
    """The warning on a draft."""
    if not card.not_proven:
        return []
    return [
        "## NOT PROVEN\n\nThis is a draft, not for use. It fails these gates:\n\n"
        + "\n".join(f"- {reason}" for reason in card.not_proven)
    ]


def _emulated(card: ModelCard) -> list[str]:
    """The results on other processors, emulated by QEMU."""
    rows = [
        (
            file.file,
            entry.processor,
            entry.description,
            entry.runtime,
            entry.verdict,
            f"{entry.images:,}",
            percent(entry.agreement),
            f"{entry.largest_difference:.2g}",
            "" if entry.golden_difference is None else f"{entry.golden_difference:.2g}",
        )
        for file in card.files
        for entry in file.emulated
    ]
    if not rows:
        return []
    told = (
        "Emulated by QEMU, with the wheels that such devices install. Differences are the largest of a probability: from the trained "
        "model on test images, and from this file on the maker's processor on the golden vectors. A file that is proven there, and "
        "answers the golden vectors alike here, is proven here."
    )
    return [f"## On other processors\n\n{table(EMULATED_COLUMNS, rows)}\n\n{told}"]


def _input(card: ModelCard) -> str:
    pixels = card.input.type == "uint8"
    kind = "raw pixels" if pixels else "ids"
    of_photos = (
        " `photos/` holds examples, each with its result, to the pixel, for code in other languages."
        if pixels
        else ""
    )
    return (
        f"## Input and output\n\n- In: `{card.input.name}`, {card.input.type} (N, {', '.join(map(str, card.input.shape))}), {kind} "
        f"{card.input.range[0]} to {card.input.range[1]}; scaling is inside the model.\n"
        f"- Out: `{card.output.name}`, {card.output.type} (N, {card.output.shape[0]}), in the order {', '.join(card.class_names)}.\n"
        f"- {'A photo is' if pixels else 'Data are'} brought to this input so: {card.preprocessing.description}.{of_photos}"
    )


def _runs_on(card: ModelCard, runtime: str) -> bool:
    return any(proof.runtime == runtime for file in card.files for proof in file.proofs)


def _row(file: ModelFile, proof: Proof) -> tuple[str, ...]:
    return (
        file.file,
        f"{file.bytes:,}",
        f"{proof.runtime} {proof.runtime_version}",
        proof.verdict,
        percent(proof.accuracy),
        interval(list(proof.accuracy_interval)),
        percent(proof.accuracy_lost_bound),
        "" if proof.median_milliseconds is None else f"{proof.median_milliseconds:.3f}",
        "" if proof.arena_bytes is None else f"{proof.arena_bytes:,}",
    )


def _notes(card: ModelCard) -> str:
    proofs = [proof for file in card.files for proof in file.proofs]
    processors = sorted({proof.processor for proof in proofs if proof.processor})
    verdicts = {proof.verdict for proof in proofs}
    meanings = " ".join(meaning for verdict, meaning in MEANINGS.items() if verdict in verdicts)
    return (
        f'{meanings} "Loses at most" is the one-sided upper 95 % bound of the accuracy lost against the trained model, image by image, '
        f"on {max(proof.images for proof in proofs):,} test and validation images or, where the interpreter is slow, fewer. "
        f"Milliseconds are the median of single images on one thread of {', '.join(processors) or 'an unknown processor'}: "
        "measure on your device with `serving bench`."
    )


def _needs(file: ModelFile) -> tuple[str, str, str]:
    return (
        file.file,
        file.requirements.minimum_runtime_version or "any",
        ", ".join(file.requirements.operators),
    )


def _without_python(card: ModelCard) -> list[str]:
    """A section for each target: what was measured; rows of facts as a table."""
    sections = []
    for entry in card.embedded:
        tables = {name: value for name, value in entry.measured.items() if isinstance(value, list)}
        facts = [
            (_label(name), _value(value, name))
            for name, value in entry.measured.items()
            if name not in tables
        ]
        made = (
            entry.refused
            or f"`embedded/{entry.target}`, made from {entry.format}; its README tells how to use it."
        )
        sections.append(f"## Without Python: {entry.target}\n\n{made}")
        sections += [table(("measured", "value"), facts)] if facts else []
        sections += [
            table(
                [_label(name) for name in rows[0]],
                [[_value(value) for value in row.values()] for row in rows],
            )
            for rows in tables.values()
        ]
    return sections


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


def _value(value: Any, name: str = "") -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.startswith(("agreement", "equal")):
        return percent(value)
    if isinstance(value, float):
        return np.format_float_positional(value, precision=3, fractional=False, trim="-")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _provenance(card: ModelCard) -> list[tuple[str, str]]:
    known = {
        name: value
        for name, value in card.provenance.items()
        if name not in ("params", "data_sha256")
    }
    rows = [
        (
            name.replace("_", " "),
            "named when the bundle is signed" if value is None else f"`{value}`",
        )
        for name, value in known.items()
    ]
    rows += [
        (f"data: {part.replace('_', ' ')}, SHA-256", f"`{digest}`")
        for part, digest in card.provenance["data_sha256"].items()
    ]
    return [*rows, ("params", "in `model_card.json`")]
