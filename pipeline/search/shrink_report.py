"""The report of `edgeproof shrink`: the networks that no smaller one beats, and their commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.trial import FrozenTrial

from pipeline.config.overrides import Overrides
from pipeline.planning.cost import NetworkFiles
from pipeline.process.errors import UserError
from pipeline.process.words import counted, percent, verb
from pipeline.reporting.metrics import ACCURACY, METRICS
from pipeline.reporting.tables import interval, table
from pipeline.search import optuna_storage, shrink_score, sweep_report
from pipeline.search.analysis import Analysis, AnalysisReport
from pipeline.search.shrink_score import interval_of, value
from pipeline.search.shrink_space import (
    AVERAGING,
    BATCH,
    SMOOTHING,
    Budget,
    Shrink,
    filters,
)
from pipeline.search.sweep_report import complete, is_pruned, result_of


def columns(metric: str) -> list[str]:
    figures = [shrink_score.words(metric), "95 % interval", "bytes", "arena"]
    return ["trial", "network", *figures, "multiplications"]


def describe(study: Study, number: int | None) -> str:
    """A line for a trial that has ended."""
    line = sweep_report.describe(study, number)
    trial = None if number is None else study.get_trials(deepcopy=False)[number]
    if trial is None or "files" not in trial.user_attrs:
        return line
    metric = shrink_score.metric_of(trial)
    if shrink_score.SCORE in trial.user_attrs:
        line = f"{line}, {shrink_score.words(metric)} {shrink_score.value(trial):.4f}"
    return f"{line}, {files_of(trial).integer_bytes:,} bytes"


def files_of(trial: FrozenTrial) -> NetworkFiles:
    return NetworkFiles(**trial.user_attrs["files"])


def front(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that are better than all that need as few bytes, the smallest first."""
    result: list[FrozenTrial] = []
    for trial in by_bytes(trials):
        if not result or value(trial) > value(result[-1]):
            result.append(trial)
    return result


def report(
    analysis: Analysis, networks: Shrink, trials: Sequence[FrozenTrial], misfits: int
) -> AnalysisReport:
    """Raises UserError if no trial could be trained."""
    finished = complete(trials)
    if not finished:
        reason = optuna_storage.refusal(trials[0])
        raise UserError(f"no network could be trained; the reason of the first: {reason}")
    best_first = front(finished)[::-1]
    best, metric = best_first[0], networks.metric
    figures = {
        f"best_{shrink_score.measure(metric)}": value(best),
        "integer_bytes": files_of(best).integer_bytes,
        "trials": len(trials),
        "misfits": misfits,
        "pruned": sum(map(is_pruned, trials)),
    }
    sentence = (
        f"The best of {counted(len(by_bytes(trials)), 'network')} has a "
        f"{shrink_score.words(metric)} of {percent(value(best))} (95 % interval "
        f"{bounds(best)}) in {files_of(best).integer_bytes:,} bytes. "
        f"{counted(misfits, 'other')} did not fit and "
        f"{verb(misfits, 'was', 'were')} not trained; {figures['pruned']} of those trained ended "
        f"early. To train it, and to prove it: `{command(analysis, networks, best)}`."
    )
    rows = [row(trial) for trial in best_first]
    others = smaller(analysis, networks, best_first)
    remarks = [*others, *notes(trials, networks)]
    return AnalysisReport(sentence, columns(metric), rows, figures, remarks)


def smaller(analysis: Analysis, networks: Shrink, best_first: Sequence[FrozenTrial]) -> list[str]:
    """A note on the smallest network that is as good, as far as the validation set can tell."""
    low, _ = known_interval(best_first[0])
    trial = [trial for trial in best_first if value(trial) >= low][-1]
    if trial is best_first[0]:
        return []
    return [
        f"The smallest whose value is in that interval is trial {trial.number}, of "
        f"{files_of(trial).integer_bytes:,} bytes: `{command(analysis, networks, trial)}`."
    ]


def notes(trials: Sequence[FrozenTrial], networks: Shrink) -> list[str]:
    rows = [[*row(trial), training(trial.params), outcome(trial)] for trial in by_bytes(trials)]
    return [
        "Each of these is better than every smaller one that was tried. Bytes are those of "
        f"the `{networks.start.embed.format}` file, and the arena is that of TensorFlow Lite "
        "Micro. Both were measured before the training, which does not change them.",
        "All that were trained:",
        table([*columns(networks.metric), "training", "outcome"], rows),
        f"The {shrink_score.words(networks.metric)} is that of the float32 model, and the best of "
        "many is partly the luckiest: the experiment tests it on the test set, and the gate proves "
        "its files.",
        *on_the_metric(networks),
    ]


def on_the_metric(networks: Shrink) -> list[str]:
    """How another metric than accuracy is judged."""
    metric, keep = networks.metric, networks.start.train.keep
    if metric == ACCURACY:
        return []
    method = (
        "The interval joins those of the recalls of the classes (Zou, Huang and Zhang, 2009); the "
        "numbers of images of each class are taken as given."
    )
    if keep == shrink_score.measure(metric):
        return [method]
    return [
        f"{method} No training ended early: train.keep is {keep}, so the {METRICS[metric].words} "
        "of an epoch is not known."
    ]


def command(analysis: Analysis, networks: Shrink, trial: FrozenTrial) -> str:
    """The experiment that trains the network, and refuses it if its arena is not as measured."""
    return analysis.command({**overrides(networks, trial), **limits(networks.budget)})


def limits(budget: Budget) -> Overrides:
    overrides = {"embed.arena_bytes": budget.arena, "embed.board": budget.board}
    return {key: value for key, value in overrides.items() if value is not None}


def overrides(networks: Shrink, trial: FrozenTrial) -> Overrides:
    return networks.overrides(sweep_report.values_of(trial, networks.space))


def by_bytes(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that were trained to the end or stopped early, the smallest first."""
    ended = [*complete(trials), *filter(is_pruned, trials)]
    trained = [trial for trial in ended if "result" in trial.user_attrs]
    return sorted(trained, key=lambda trial: (files_of(trial).integer_bytes, -value(trial)))


def outcome(trial: FrozenTrial) -> str:
    epochs = counted(len(result_of(trial).rows), "epoch")
    return f"stopped after {epochs}" if is_pruned(trial) else "complete"


def row(trial: FrozenTrial) -> list[str]:
    files = files_of(trial)
    return [
        str(trial.number),
        f"{' '.join(map(str, filters(trial.params)))} {layers(trial.params)}",
        percent(value(trial)),
        bounds(trial),
        f"{files.integer_bytes:,}",
        _count(files.micro_arena_bytes),
        _count(files.multiply_accumulates),
    ]


def bounds(trial: FrozenTrial) -> str:
    """The interval of its value; empty for a training that ended before it had answers."""
    known = interval_of(trial)
    return "" if known is None else interval(known)


def known_interval(trial: FrozenTrial) -> tuple[float, float]:
    """The interval of a complete trial, which has one."""
    known = interval_of(trial)
    assert known is not None
    return known


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def layers(values: Mapping[str, Any]) -> str:
    named = (values.get(f"train.network.{key}") for key in ("convolution", "end"))
    return ", ".join(str(value) for value in named if value) or "separable"


def training(values: Mapping[str, Any]) -> str:
    """How the network was trained."""
    parts = [f"rate {sweep_report.short(values['train.learning_rate'])}"]
    if "train.epochs" in values:
        parts.insert(0, counted(values["train.epochs"], "epoch"))
    if BATCH in values:
        parts.append(f"batches of {values[BATCH]}")
    if SMOOTHING in values:
        parts.append(f"smoothing {values[SMOOTHING]}")
    if values[AVERAGING] == "true":
        parts.append("averages")
    return ", ".join(parts)


def draw(figure: Any, networks: Shrink, trials: Sequence[FrozenTrial]) -> None:
    """The metric against bytes, with the front as a line."""
    axis = figure.subplots()
    finished = complete(trials)
    stopped = [trial for trial in trials if is_pruned(trial)]
    for shown, marker, colour, label in (
        (stopped, "x", "tab:red", "stopped early"),
        (finished, "o", "tab:blue", "complete"),
    ):
        if shown:
            places = [files_of(trial).integer_bytes for trial in shown]
            heights = [100 * value(trial) for trial in shown]
            text = f"{label}: {len(shown)}"
            axis.scatter(places, heights, marker=marker, color=colour, label=text)
    best = front(finished)
    places = [files_of(trial).integer_bytes for trial in best]
    heights = [100 * value(trial) for trial in best]
    ends = [known_interval(trial) for trial in best]
    bars = np.abs(100 * np.array(ends).T - heights)
    axis.errorbar(places, heights, bars, color="tab:blue", capsize=3, label="no smaller one better")
    axis.axvline(networks.budget.bytes, color="grey", linestyle=":", label="budget")
    axis.set(
        xlabel=f"bytes of {networks.start.embed.format}",
        ylabel=f"{shrink_score.words(networks.metric)}, %",
    )
    axis.grid(alpha=0.3)
    axis.legend()
