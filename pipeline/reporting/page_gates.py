"""The gates on reports/index.html: each with why it failed, or how it was passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.config.params import Params
from pipeline.files.reports.bundle import BundleReports
from pipeline.files.reports.evaluate import AnyGate, EvaluationReport, GateName, NumberReport
from pipeline.files.reports.verify import Rejection
from pipeline.process.words import counted, percent, verb
from pipeline.reporting import by_folds
from pipeline.reporting.page_files import file_verdicts
from pipeline.reporting.tables import BASELINES, amount, amounts, interval
from serving.gate import PROVEN, VERDICTS

Gates = dict[str, list[str]]  # for each gate the sentences on its failures


@dataclass(frozen=True)
class GateVerdict:
    title: str
    passed: bool
    sentences: list[str]


def gate_verdicts(settings: Params, reports: BundleReports, gates: Gates) -> list[GateVerdict]:
    """Every gate, with the sentences on its failures, or one that says how it was passed."""
    verdicts = []
    for name, failures in gates.items():
        title, passed = GATES[name]
        sentences = failures or [passed(settings, reports)]
        verdicts.append(GateVerdict(title, not failures, sentences))
    return verdicts


def _target_reached(settings: Params, reports: BundleReports) -> str:
    target = settings.problem.target
    if settings.problem.unit is not None:
        return f"{score(reports)} The target allows {amount(target, settings.problem.unit)}."
    return f"{score(reports)} It reaches the target of {percent(target)}."


def score(reports: BundleReports) -> str:
    """The accuracy, or the mean absolute error, on the test set."""
    evaluation = reports.evaluate
    if isinstance(evaluation, NumberReport):
        return (
            f"The mean absolute error is {amount(evaluation.test_error, evaluation.unit)} (95 % "
            f"interval {amounts(evaluation.test_error_interval, evaluation.unit)}) on "
            f"{evaluation.test_images:,} examples that training never saw."
        )
    assert isinstance(evaluation, EvaluationReport)
    figure = evaluation.score
    sentence = (
        f"Test {figure.words} is {percent(figure.value)} (95 % interval "
        f"{interval(figure.interval)}) on {evaluation.test_images:,} examples"
        f"{'' if reports.train.origin else ' that training never saw'}."
    )
    if evaluation.metric:
        sentence += f" The accuracy is {percent(evaluation.test_accuracy)}."
    return f"{sentence} {by_folds.sentence(evaluation.folds)}" if evaluation.folds else sentence


def number_remarks(reports: BundleReports) -> str:
    """Further figures of a number; empty for other answers."""
    evaluation = reports.evaluate
    if not isinstance(evaluation, NumberReport):
        return ""
    low, high = evaluation.r_squared_interval
    return (
        "The root mean square error is "
        f"{amount(evaluation.root_mean_square_error, evaluation.unit)} (95 % interval "
        f"{amounts(evaluation.root_mean_square_error_interval, evaluation.unit)}). R squared, the "
        f"share of the variance that the model explains, is {evaluation.r_squared:.4f} ({low:.4f} "
        f"to {high:.4f})."
    )


def _baseline_beaten(_: Params, reports: BundleReports) -> str:
    gate = reports.evaluate.judged
    reached = ""
    if isinstance(reports.evaluate, EvaluationReport):
        if gate.baseline_not_shown:
            return f"Not shown: {by_folds.baseline(reports.evaluate)}."
        reached = percent(reports.evaluate.score.baseline)
    elif isinstance(reports.evaluate, NumberReport):
        reached = amount(reports.evaluate.gate.baseline_error, reports.evaluate.unit)
    name = BASELINES[reports.baseline.best]
    return (
        f"The model is significantly better than the baseline, {name}, which reaches "
        f"{reached} ({p_value(gate)})."
    )


def _every_class_predicted(_: Params, reports: BundleReports) -> str:
    assert isinstance(reports.evaluate, EvaluationReport)
    worst = percent(reports.evaluate.worst_recall)
    return f"The model predicts every class of the test set; the lowest recall is {worst}."


def p_value(gate: AnyGate) -> str:
    value = gate.baseline_p_value
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _converted(_: Params, reports: BundleReports) -> str:
    return f"Converted to {counted(len(reports.export.formats), 'format')}."


def _verified(settings: Params, reports: BundleReports) -> str:
    files = file_verdicts(reports)
    counts = {verdict: sum(file.verdict == verdict for file in files) for verdict in VERDICTS}
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    count, required = counted(len(files), "file"), f'verify.require is "{settings.verify.require}".'
    return f"Of {count}: {listed}. {required} {_promise_kept(settings, reports)}"


def _promise_kept(settings: Params, reports: BundleReports) -> str:
    if settings.problem.unit is not None:
        return _intervals_hold(settings, reports)
    rejections = [pair.rejection for pair in reports.verify.native if pair.rejection]
    if not rejections:
        reasons = reports.verify.by_reason
        unset = "no answer is too unsure: problem.coverage and problem.max_error are null"
        return f"Every input gets an answer, as {'; '.join(reasons) or unset}."
    coverage = min(rejection.coverage for rejection in rejections)
    error = max(rejection.error for rejection in rejections)
    return (
        f"Every file answers at least {percent(coverage)} of the test set, and at most "
        f"{percent(error)} of its answers are wrong. "
        f"{settings.problem.promises}: {_proven_share(rejections)}.{_others_rejected(reports)}"
    )


def _proven_share(rejections: Sequence[Rejection]) -> str:
    proven = sum(entry.state == PROVEN for entry in rejections)
    if proven == len(rejections):
        return "proven for every file in every runtime"
    return (
        f"proven for {proven} of {counted(len(rejections), 'pair')} of file and runtime; for the "
        "others the test set is too small to show it"
    )


def _others_rejected(reports: BundleReports) -> str:
    judged = [pair.others for pair in reports.verify.native if pair.others]
    if not judged:
        return ""
    worst = min(judged, key=lambda others: others.share)
    low, high = map(percent, worst.interval)
    return (
        f" Every file rejects at least {percent(worst.share)} of the test pictures that are none "
        f"of the classes (95 % interval {low} to {high})."
    )


def _intervals_hold(settings: Params, reports: BundleReports) -> str:
    held = [pair.coverage for pair in reports.verify.numbers if pair.coverage]
    if not held:
        reasons = "; ".join(reports.verify.by_reason) or "problem.coverage is null"
        return f"No number has an interval, as {reasons}."
    return (
        f"The interval of every file holds at least {percent(min(part.share for part in held))} of "
        f"the true numbers of the test set. problem.coverage is {settings.problem.coverage:g}."
    )


def _embedded(_: Params, reports: BundleReports) -> str:
    targets = reports.embed.targets
    refused = [row.target for row in targets if row.refused is not None]
    if not targets:
        return "No target without Python: embed.targets names none whose format was exported."
    sentence = f"{len(targets) - len(refused)} of {len(targets)} targets take the model"
    if refused:
        was = verb(len(refused), "was", "were")
        sentence += f'; {", ".join(refused)} {was} skipped, as embed.targets is "all"'
    return f"{sentence}."


# The title of each gate, and the sentence on how it was passed
GATES: dict[str, tuple[str, Callable[[Params, BundleReports], str]]] = {
    GateName.TARGET: ("Target", _target_reached),
    GateName.BASELINE: ("Baseline", _baseline_beaten),
    GateName.CLASSES: ("Every class predicted", _every_class_predicted),
    GateName.EXPORT: ("Conversion", _converted),
    GateName.VERIFY: ("Proof of the files", _verified),
    GateName.EMBED: ("Without Python", _embedded),
}
