"""The gates between a model and its bundle: a sentence with a cure for each gate that fails."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.params import Params
from pipeline.config.problem import Problem
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.embed import TargetReport
from pipeline.files.reports.evaluate import EvaluationReport, GateName
from pipeline.files.reports.verify import AnyPair, VerificationReport
from pipeline.process.words import verb
from pipeline.reporting import by_folds
from serving.gate import COULD_NOT_RUN, PROVEN, WORSE


def failures(params: Params, reports: BundleReports) -> list[str]:
    """The gates that the reports fail; empty if the model may be packaged."""
    return [sentence for failures in by_gate(params, reports).values() for sentence in failures]


def by_gate(params: Params, reports: BundleReports) -> dict[str, list[str]]:
    """For each gate the sentences on its failures; none if it is passed."""
    return {
        **reports.evaluate.judged.failures,
        **_baseline_not_shown(params, reports),
        GateName.EXPORT: _not_converted(reports.export.errors),
        GateName.VERIFY: [
            *_not_good_enough(params, reports.verify.pairs),
            *_promise_broken(params.problem, reports.verify),
        ],
        GateName.EMBED: refused_targets(params, reports.embed.targets),
    }


def files(reports: BundleReports, *, draft: bool = False) -> list[str]:
    """The formats that go into a bundle: those that ran here and are not worse anywhere.

    A draft includes the worse ones too.
    """
    ran = {pair.format for pair in reports.verify.here}
    worse = {pair.format for pair in reports.verify.pairs if pair.state == WORSE}
    return [name for name in reports.export.formats if name in ran and (draft or name not in worse)]


def _baseline_not_shown(params: Params, reports: BundleReports) -> dict[str, list[str]]:
    """The gate of the baseline, if it must be shown that it is beaten and it is not."""
    evaluation = reports.evaluate
    if params.verify.require != PROVEN or not isinstance(evaluation, EvaluationReport):
        return {}
    if not evaluation.gate.baseline_not_shown:
        return {}
    return {GateName.BASELINE: [f"{by_folds.baseline(evaluation)}, and verify.require is {PROVEN}"]}


def _not_converted(errors: dict[str, str]) -> list[str]:
    return [
        f"{name} could not be converted: {error}; take it out of export.formats"
        for name, error in errors.items()
    ]


def _not_good_enough(params: Params, pairs: Sequence[AnyPair]) -> list[str]:
    """A sentence for each verdict and reason, which several pairs may share."""
    required = params.verify.require
    native = {(pair.format, pair.state) for pair in pairs if pair.is_native}
    names: dict[tuple[str, str | None], list[str]] = {}
    for pair in pairs:
        # A file that already fails here is not reported again for every emulated processor.
        is_new = pair.is_native or (pair.format, pair.state) not in native
        if is_new and (pair.state == WORSE or (required == PROVEN and pair.state != PROVEN)):
            names.setdefault((pair.state, pair.reason), []).append(pair.name)
    return [
        f"{', '.join(alike)} {'' if state == COULD_NOT_RUN else verb(len(alike), 'is ', 'are ')}"
        f"{state} ({reason})" + (f", and verify.require is {required}" if state != WORSE else "")
        for (state, reason), alike in names.items()
    ]


def _promise_broken(problem: Problem, verification: VerificationReport) -> list[str]:
    """Answers that are rejected too often, or accepted although too many of them are wrong.

    The promise is made on the validation set, and the test set can only break it: `verify.require`
    asks for what files lose.
    """
    numbers = [
        f"the interval of {pair.name} holds {held.inside:,} of {held.images:,} true numbers of "
        f"the test set: {held.state} (problem.coverage is {problem.coverage:g}; are validation and "
        "test set alike? If they are, lower the coverage)"
        for pair in verification.numbers
        if (held := pair.coverage) and held.state == WORSE
    ]
    too_few = [
        f"{', '.join(formats)}: {reason}" for reason, formats in verification.by_reason.items()
    ]
    return [
        *numbers,
        *(too_few if problem.coverage is None else []),
        *(
            f"{pair.name} accepts {rejection.accepted:,} of {rejection.images:,} test examples, "
            f"of which {rejection.wrong} are wrong: {rejection.state} ({_promised(problem)})"
            for pair in verification.native
            if (rejection := pair.rejection) and rejection.state == WORSE
        ),
    ]


def _promised(problem: Problem) -> str:
    """The promises, and the cure if they are not kept."""
    return (
        f"{problem.promises}; are validation and test set alike? If they are, "
        "lower the coverage or raise the error"
    )


def refused_targets(params: Params, targets: Sequence[TargetReport]) -> list[str]:
    refused = [row for row in targets if row.refused is not None]
    if params.embed.targets == "all":
        return [
            f"embed.board is {params.embed.board}, and microcontroller refuses the model: "
            f"{row.refused}"
            for row in refused
            if params.embed.board and row.target == "microcontroller"
        ]
    return [
        f"{row.target} refuses the model: {row.refused}; "
        "`embed.targets: all` would skip this target"
        for row in refused
    ]
