"""What MODEL_CARD.md says of each file: its proof, its requirements, and emulated processors."""

from __future__ import annotations

from pipeline import inputs
from pipeline.process.words import percent
from pipeline.reporting.tables import MILLISECONDS, interval, table
from serving.gate import NOT_SHOWN, PROVEN, WORSE
from serving.model_card import ModelCard
from serving.model_file import ModelFile, Number, Proof

COLUMNS = (
    "file",
    "bytes",
    "runtime",
    "verdict",
    "test accuracy",
    "95 % interval",
    "accuracy loss, at most",
    MILLISECONDS,
    "arena, bytes",
)
EMULATED_COLUMNS = (
    "file",
    "processor",
    "description",
    "runtime",
    "verdict",
    "inputs",
    "same class",
    "largest difference",
    "golden difference",
)
MEANINGS = {
    PROVEN: "*Proven*: the accuracy loss is shown to be within the allowed limit.",
    NOT_SHOWN: "*Not shown*: no significant loss, but too few examples to prove the limit holds.",
    WORSE: "*Worse*: a significant loss, or one above the allowed limit.",
}


def files(card: ModelCard) -> str:
    """A row for each file on each runtime, and what the columns mean."""
    rows = [_row(file, proof, card.number) for file in card.files for proof in file.proofs]
    return f"## Files\n\n{table(_columns(card), rows)}\n\n{_notes(card)}"


def _columns(card: ModelCard) -> tuple[str, ...]:
    if card.metric:
        words = card.metric.words
        named = {
            "test accuracy": f"test {words}",
            "accuracy loss, at most": f"{words} loss, at most",
        }
        return tuple(named.get(column, column) for column in COLUMNS)
    if not card.number:
        return COLUMNS
    unit = card.number.unit
    named = {"test accuracy": f"error, {unit}", "accuracy loss, at most": f"added, at most, {unit}"}
    return tuple(named.get(column, column) for column in COLUMNS)


def _row(file: ModelFile, proof: Proof, number: Number | None) -> tuple[str, ...]:
    return (
        file.file,
        f"{file.bytes:,}",
        f"{proof.runtime} {proof.runtime_version}",
        proof.verdict,
        *_score(proof, number),
        "" if proof.median_milliseconds is None else f"{proof.median_milliseconds:.3f}",
        "" if proof.arena_bytes is None else f"{proof.arena_bytes:,}",
    )


def _score(proof: Proof, number: Number | None) -> tuple[str, str, str]:
    """The score, its interval and the bound of the loss."""
    if number:
        assert proof.error is not None
        assert proof.error_interval is not None
        low, high = proof.error_interval
        return f"{proof.error:.4g}", f"{low:.4g} to {high:.4g}", f"{proof.bound:.3g}"
    if proof.metric_value is not None and proof.metric_interval is not None:
        ends = interval(proof.metric_interval)
        return percent(proof.metric_value), ends, percent(proof.bound)
    assert proof.accuracy is not None
    assert proof.accuracy_interval is not None
    return percent(proof.accuracy), interval(proof.accuracy_interval), percent(proof.bound)


def _notes(card: ModelCard) -> str:
    proofs = [proof for file in card.files for proof in file.proofs]
    processors = sorted({proof.processor for proof in proofs if proof.processor})
    verdicts = {proof.verdict for proof in proofs}
    meanings = " ".join(meaning for verdict, meaning in MEANINGS.items() if verdict in verdicts)
    images = max(proof.images for proof in proofs)
    loss = "*Accuracy loss, at most* is the one-sided upper 95 % bound of the accuracy lost against"
    if card.metric:
        words = card.metric.words
        loss = loss.replace("accuracy lost", f"{words} lost")
        loss = loss.replace("Accuracy loss", f"{words[:1].upper()}{words[1:]} loss")
        meanings = meanings.replace("accuracy loss", f"{words} loss")
    if card.number:
        loss = (
            "*Error* is the mean absolute error, and *added, at most* the one-sided upper 95 % "
            f"bound of what the file adds to it, {card.number.max_error_added:.3g} being allowed, "
            "against"
        )
        meanings = meanings.replace("accuracy loss", "error added").replace("loss", "error added")
    return (
        f"{meanings} {loss} "
        "the trained model. It compares the two one by one, "
        f"on {images:,} test and validation {inputs.noun(card.kind.name)}, "
        "or on fewer with a slow interpreter. "
        f"*{MILLISECONDS}* is the median time of a single input on one thread of "
        f"{', '.join(processors) or 'an unknown processor'}; "
        "measure your own device with `serving bench`."
    )


def emulated(card: ModelCard) -> list[str]:
    """The results on other processors, emulated with QEMU."""
    rows = [
        (
            file.file,
            entry.processor,
            entry.description,
            entry.runtime,
            entry.verdict,
            f"{entry.images:,}",
            "" if entry.agreement is None else percent(entry.agreement),
            f"{entry.largest_difference:.2g}",
            "" if entry.golden_difference is None else f"{entry.golden_difference:.2g}",
        )
        for file in card.files
        for entry in file.emulated
    ]
    if not rows:
        return []
    explanation = (
        "Emulated with QEMU, using the wheels that such devices install. *Largest difference* is "
        "the largest difference in an output from the trained model on the test set. *Golden "
        "difference* is the largest difference from the same file on the maker's processor on the "
        "golden vectors. A file that is proven on the maker's processor is also proven here if it "
        "reproduces the golden vectors and loses no more than allowed."
    )
    return [f"## On other processors\n\n{table(EMULATED_COLUMNS, rows)}\n\n{explanation}"]


def requirements(card: ModelCard) -> str:
    """What each file needs of a runtime."""
    rows = [
        (
            file.file,
            file.requirements.minimum_runtime_version or "any",
            ", ".join(file.requirements.operators),
        )
        for file in card.files
    ]
    columns = ("file", "minimum runtime version", "operators")
    return f"## Runtime requirements\n\n{table(columns, rows)}"
