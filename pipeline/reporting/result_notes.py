"""The sentences below the table of results: on which images its figures hold, and where."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.files.reports.verify import NumberPair, RanPair, VerificationReport
from pipeline.process.words import counted, percent
from pipeline.reporting import result_row


def notes(verification: VerificationReport) -> str:
    here = verification.here
    there = [pair for pair in verification.ran if not pair.is_native]
    versions = dict.fromkeys(f"{pair.runtime} {pair.runtime_version}" for pair in here)
    sentences = [
        *meanings(verification),
        *(
            f"{pair.runtime} sees {pair.images:,} of them, which bounds its loss at "
            f"{bound(pair)}, and needs an arena of "
            f"{pair.arena_bytes:,} bytes in this build."
            for pair in here
            if pair.arena_bytes
        ),
        *(
            [result_row.CONFIDENCE_NOTE]
            if any(pair.rejection for pair in verification.native)
            else []
        ),
        *([on_emulated_processors(there)] if there else []),
        f"Milliseconds are medians over single {verification.judged_on.noun} on one thread of "
        f"{measured_on(here)}, for the fastest and the slowest runtime; on another processor the "
        "order can be reversed, especially for int8.",
        f"Runtimes: {', '.join(versions)}.",
    ]
    return " ".join(sentences)


def meanings(verification: VerificationReport) -> list[str]:
    """What the columns of scores say."""
    judged_on = verification.judged_on
    noun = judged_on.noun
    on_all = f"paired one by one, on all {judged_on.images:,} test and validation {noun}."
    if not verification.numbers:
        name = metric(verification)
        return [
            f"{name[:1].upper()}{name[1:]} is that of the worst runtime on {judged_on.test:,} test "
            f"{noun}.",
            '"Loses at most" is the one-sided upper 95 % bound of the '
            f"{name} lost against Keras, {on_all}",
        ]
    return [
        f"Error is the mean absolute error of the worst runtime on {judged_on.test:,} test {noun}, "
        f"in {verification.numbers[0].unit}.",
        '"Adds at most" is the one-sided upper 95 % bound of what a file adds to it against Keras, '
        + on_all,
        '"Interval" is the distance within which the true number is, fitted on the validation set.',
        '"Holds" is the share of the test set for which that is so.',
    ]


def metric(verification: VerificationReport) -> str:
    """What files are judged by, in words."""
    return next((pair.score[0] for pair in verification.native), "accuracy")


def bound(pair: RanPair) -> str:
    if isinstance(pair, NumberPair):
        return f"{pair.bound:.3g} {pair.unit}"
    return percent(pair.bound)


def measured_on(pairs: Sequence[RanPair]) -> str:
    processors = (pair.measured_on for pair in pairs if pair.measured_on is not None)
    return next(processors, "an unknown processor")


def verdicts(verification: VerificationReport) -> str:
    """Where the verdicts of the short table hold; empty if that is here alone."""
    there = [pair for pair in verification.ran if not pair.is_native]
    if not there:
        return ""
    names = ", ".join(dict.fromkeys(pair.processor for pair in there))
    most, fewest = (count(pair.images for pair in there) for count in (max, min))
    in_float = f" ({fewest} for files in float32)" if fewest < most else ""
    return (
        f" A verdict is the worst here and on emulated {names}, where "
        f"{counted(most, 'test example')}{in_float} and the golden vectors must not contradict it."
    )


def on_emulated_processors(pairs: Sequence[RanPair]) -> str:
    """What was tried there; files that compute in float32 see fewer examples."""
    most, fewest = (count(pair.images for pair in pairs) for count in (max, min))
    sentence = f"Each emulated processor sees {counted(most, 'test example')}"
    if fewest < most:
        sentence += f" ({fewest} for files in float32, which are slow there and hardly differ)"
    golden = (pair.golden_difference for pair in pairs)
    differences = [difference for difference in golden if difference is not None]
    outputs = "numbers" if isinstance(pairs[0], NumberPair) else "probabilities"
    if differences:
        sentence += (
            f" and the golden vectors, whose {outputs} differ from those here by at most "
            f"{max(differences):.2g}"
        )
    return f"{sentence}."
