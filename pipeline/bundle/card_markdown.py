"""MODEL_CARD.md: the model card for people.

After Mitchell et al., "Model Cards for Model Reporting" (2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline import inputs, targets
from pipeline.bundle import acceptance, embedded_sections, proof_sections
from pipeline.bundle.card import CardRejection, JudgedRejection
from pipeline.config.params import NONE
from pipeline.config.parts import one_class_each
from pipeline.process.words import percent
from pipeline.reporting import by_folds
from pipeline.reporting.tables import table
from serving import model_card
from serving.model_card import ModelCard

FILE = "MODEL_CARD.md"
PICTURES = {
    "confusion": "Confusion matrix: true classes of the test set and the predicted ones",
    "reliability": "How often answers of each confidence are right, with the calibration error",
    "mistakes": "What the model misclassifies in the test set",
    "learning_curves": "Loss and accuracy over the training epochs",
}
NUMBER_PICTURES = {
    "confusion": "True and predicted numbers of the test set",
    "reliability": "How much of the test set has at most each absolute error",
    "mistakes": "The largest errors on the test set",
    "learning_curves": "Loss and mean absolute error over the training epochs",
}
# The picture that shows test images, which some data sets do not allow to be passed on.
OF_TEST_IMAGES = "mistakes"
INSTALL = """\
On a device with Python 3.9 or newer, in this folder:

```
python3 -m venv ~/device && source ~/device/bin/activate
pip install --requirement requirements/{runtime}.txt   # one file for each runtime
serving check .{draft}    # may this device run it?{predict}{prove}
serving serve .{draft}    # the same over HTTP, on port 8000
```"""
RUNTIMES = ("litert", "onnxruntime", "tflite_runtime", "tflite_micro")  # the first is proposed
INSTALL_ON_ARMV7 = """

On armv7 with Debian 12, or a Raspberry Pi OS based on it, install numpy and Pillow from Debian:

```
sudo apt-get install python3-venv python3-numpy python3-pil
python3 -m venv --system-site-packages ~/device && source ~/device/bin/activate
pip install --requirement requirements/tflite_runtime_armv7.txt
```"""
REJECTION_COLUMNS = (
    "file",
    "runtime",
    "answered from",
    "answered",
    "at least",
    "wrong answers",
    "at most",
    "verdict",
)
OTHER_COLUMNS = ("file", "runtime", "others", "rejected", "95 % interval")


def write(folder: Path, card: ModelCard) -> None:
    """Writes model_card.json for programs, and MODEL_CARD.md with the pictures in `folder`."""
    (folder / model_card.FILE).write_bytes(card.dump())
    pictures = {
        name: caption
        for name, caption in (NUMBER_PICTURES if card.number else PICTURES).items()
        if (folder / f"pictures/{name}.png").exists()
    }
    (folder / FILE).write_text(render(card, pictures), encoding="utf-8")


def render(card: ModelCard, pictures: Mapping[str, str]) -> str:
    """The card in Markdown; `pictures` maps file names to captions."""
    limits = "\n".join(f"- {limit}" for limit in card.limits)
    checksums = [(file.file, f"`{file.sha256}`") for file in card.files]
    figures = [
        f"![{caption}](pictures/{name}.png)\n\n*{caption}*" for name, caption in pictures.items()
    ]
    sections = [
        f"# {card.name} {card.version}",
        f"**{card.statement}**",
        *_not_proven(card),
        targets.scoring(card.target).results(card),
        f"## How to use this bundle\n\n{_install(card)}\n\n{_acceptance(card)}",
        f"## Use\n\n{card.use}\n\nLimits:\n\n{limits}",
        _input(card),
        proof_sections.files(card),
        *_rejection(card),
        *_intervals(card),
        *proof_sections.emulated(card),
        proof_sections.requirements(card),
        *embedded_sections.render(card),
        "## Pictures\n\n" + "\n\n".join(figures),
        "## Provenance\n\n" + table(("what", "value"), _provenance(card)),
        "## Checksums\n\n" + table(("file", "SHA-256"), checksums),
    ]
    return "\n\n".join(sections) + "\n"


def _install(card: ModelCard) -> str:
    """Commands to paste: those that this bundle can run."""
    example = inputs.kind(card.kind.name).EXAMPLE
    draft = " --draft" if card.not_proven else ""
    commands = INSTALL.format(
        draft=draft,
        runtime=next(name for name in RUNTIMES if _runs_on(card, name)),
        predict=f"\nserving predict . {example}{draft}" if example else "",
        prove=f"\nserving prove .{draft}    # is it as good here as at its maker's?"
        if card.acceptance_images
        else "",
    )
    return commands + (INSTALL_ON_ARMV7 if _runs_on(card, "tflite_runtime") else "")


def _acceptance(card: ModelCard) -> str:
    if card.no_acceptance or not card.acceptance_images:
        return (
            f"This bundle has no acceptance set ({card.no_acceptance}), "
            "so `serving prove` cannot be used with it."
        )
    shortfall = acceptance.shortfall(card)
    return (
        f"`acceptance.npz` contains {card.acceptance_images:,} test "
        f"{inputs.noun(card.kind.name)} and the trained model's "
        "answers to them. `serving prove .` uses them to test every file on the device itself."
        + (f" It has {shortfall}." if shortfall else "")
    )


def _not_proven(card: ModelCard) -> list[str]:
    """The warning on a draft, with the gates that it fails."""
    if not card.not_proven:
        return []
    failures = "\n".join(f"- {reason}" for reason in card.not_proven)
    return [f"## NOT PROVEN\n\nThis is a draft, not for use. It fails these gates:\n\n{failures}"]


def _rejection(card: ModelCard) -> list[str]:
    """When the answer is "none of these", and how that went on the test set."""
    if card.rejection is None:
        return _no_rejection(card)
    rejection = CardRejection.model_validate(card.rejection)
    rows = [
        (
            pair.format,
            pair.runtime,
            f"{pair.accept_from:.4f}",
            percent(pair.coverage),
            percent(pair.coverage_bound),
            f"{pair.wrong} ({percent(pair.error)})",
            percent(pair.error_bound),
            pair.state,
        )
        for pair in rejection.test
    ]
    return [
        f"## None of these\n\n{rejection.rule} On the test set, with one-sided 95 % bounds:"
        f"\n\n{table(REJECTION_COLUMNS, rows)}\n\nAn input that is nothing like the training set "
        "is rejected only as far as the model is unsure of it.",
        *_others(rejection.test),
    ]


def _no_rejection(card: ModelCard) -> list[str]:
    if not one_class_each(card.target):
        return []
    other = card.provenance.get("params", {}).get("dataset", {}).get("other", NONE)
    unjudged = (
        ""
        if other == NONE
        else " So the test pictures that are none of the classes, as the maker named them, are not "
        "judged: there is no threshold to reject them by."
    )
    return [
        "## None of these\n\nEvery input gets a class, also one that is none of them, and however "
        f"unsure the model is: no file has a threshold below which it rejects.{unjudged}"
    ]


def _others(pairs: Sequence[JudgedRejection]) -> list[str]:
    """How many pictures of none of the classes were rejected, if the user had some."""
    rows = [
        (
            pair.format,
            pair.runtime,
            f"{pair.others.images:,}",
            percent(pair.others.share),
            " to ".join(map(percent, pair.others.interval)),
        )
        for pair in pairs
        if pair.others
    ]
    if not rows:
        return []
    return [
        "Test pictures that are none of the classes, as the maker named them; others like them "
        "were used in training, and none to fit a threshold:\n\n" + table(OTHER_COLUMNS, rows)
    ]


def _intervals(card: ModelCard) -> list[str]:
    """How far the true number may be from that of each file."""
    widths = [
        (file.file, f"± {file.interval:.4g} {card.number.unit}")
        for file in card.files
        if card.number and file.interval is not None
    ]
    if not widths or card.number is None or card.number.coverage is None:
        return []
    widths_table = table(("file", "interval"), widths)
    return [
        f"## Interval\n\nFor at least {percent(card.number.coverage)} of inputs like those of the "
        "validation set, the true number is within this distance of the file's number, with 95 % "
        "confidence. It was fitted by split conformal prediction on the validation set and tested "
        f"on the test set. It is equally wide for every input.\n\n{widths_table}"
    ]


def _input(card: ModelCard) -> str:
    kind = inputs.kind(card.kind.name)
    shape = ", ".join(map(str, card.input.shape))
    low, high = card.input.range
    classes = ", ".join(card.class_names)
    answer = targets.target(card.target).ANSWER
    given = f"in the order {classes}; {answer}"
    if card.number:
        given = f"the {classes} in {card.number.unit}; {answer}"
    return (
        "## Input and output\n\n"
        f"- Input: `{card.input.name}`, {card.input.type} (N, {shape}), {kind.VALUES} "
        f"from {low} to {high}; scaling is part of the model.\n"
        f"- Output: `{card.output.name}`, {card.output.type} (N, {card.output.shape[0]}), "
        f"{given}.\n"
        f"{_thresholds(card)}"
        f"- {kind.PREPARED}: {card.preprocessing.description}.{kind.EXAMPLES}"
    )


def _thresholds(card: ModelCard) -> str:
    """From which probability each of several labels holds."""
    if card.holds_from is None:
        return ""
    pairs = zip(card.class_names, card.holds_from, strict=True)
    listed = ", ".join(f"{name} {least:.4g}" for name, least in pairs)
    return f"- Thresholds, chosen on the validation set for the F1 of each label: {listed}.\n"


def _runs_on(card: ModelCard, runtime: str) -> bool:
    return any(proof.runtime == runtime for file in card.files for proof in file.proofs)


def _provenance(card: ModelCard) -> list[tuple[str, str]]:
    rows = [
        (name.replace("_", " "), "filled in on signing" if value is None else f"`{value}`")
        for name, value in card.provenance.items()
        if name not in ("params", "data_sha256", by_folds.KEY)
    ]
    rows += [
        (f"data: {part.replace('_', ' ')}, SHA-256", f"`{digest}`")
        for part, digest in card.provenance["data_sha256"].items()
    ]
    return [*rows, ("params", "in `model_card.json`")]
