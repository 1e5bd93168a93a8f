"""The field report in sentences: what a person must know of its figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.reporting.tables import interval, percent

SMALLEST_P = 1e-6  # below it a p-value says no more
LARGE, SMALL = 0.25, 0.1  # of the population stability index
FEW = 0.25  # where a drift must concern more of the predictions than this to show, they are too few


def sentences(facts: dict[str, Any]) -> list[str]:
    """What a person must know, the most important first."""
    accuracy = facts["accuracy"]
    spoken = [VERDICTS[accuracy["verdict"]](facts, accuracy)]
    if "field_accuracy" in accuracy:
        spoken.append(_classes(facts["classes"]))
    spoken.append(_drift(facts))
    if facts["unreadable"]:
        spoken.append(
            f"{len(facts['unreadable'])} pictures could not be read: {facts['unreadable'][0]}."
        )
    return spoken


def _figures(facts: dict[str, Any], accuracy: dict[str, Any]) -> str:
    lost = accuracy["difference"]
    low, high = (100 * bound for bound in accuracy["difference_interval"])
    beyond = "beyond chance" if accuracy["p_value"] < 0.05 else "not beyond chance"
    return (
        f"field accuracy {percent(accuracy['field_accuracy'])} (95 % interval {interval(accuracy['interval'])}) on "
        f"{facts['labels']:,} labelled of {facts['predictions']:,} predictions, test accuracy {percent(facts['test_accuracy'])}: "
        f"a difference of {100 * lost:+.2f} points "
        f"(95 % interval {low:+.2f} to {high:+.2f}, Newcombe), {beyond} (Fisher's exact test, p {p_value(accuracy['p_value'])})"
    )


def _holds(facts: dict[str, Any], accuracy: dict[str, Any]) -> str:
    return f"The field holds what the test promised, within {_points(accuracy)}: {_figures(facts, accuracy)}."


def _worse(facts: dict[str, Any], accuracy: dict[str, Any]) -> str:
    return f"The field is worse than the test: {_figures(facts, accuracy)}."


def _open(facts: dict[str, Any], accuracy: dict[str, Any]) -> str:
    needed = accuracy["labels_needed"]
    more = (
        f"some {max(needed - facts['labels'], 1):,} more labels will probably tell"
        if needed
        else _too_small(facts, accuracy)
    )
    return f"Too few labels for a verdict; {more}: {_figures(facts, accuracy)}."


def _no_labels(facts: dict[str, Any], accuracy: dict[str, Any]) -> str:
    needed = accuracy["labels_needed"]
    if needed is None:
        more = _too_small(facts, accuracy)
    else:
        more = f"some {needed:,} will probably tell whether it lies within {_points(accuracy)} of the test's"
    return f"No label of {facts['predictions']:,} predictions is known, so neither is the accuracy; {more}."


def _too_small(facts: dict[str, Any], accuracy: dict[str, Any]) -> str:
    return (
        f"no number of labels can tell {_points(accuracy)}, as the test itself had {facts['test_images']:,} images: "
        "allow more in field.max_accuracy_drop"
    )


def _points(accuracy: dict[str, Any]) -> str:
    """How much may be lost, in percentage points."""
    drop = 100 * accuracy["max_accuracy_drop"]
    return f"{drop:g} point{'' if drop == 1 else 's'}"


VERDICTS: dict[str, Callable[[dict[str, Any], dict[str, Any]], str]] = {
    "holds": _holds,
    "worse": _worse,
    "open": _open,
    "no labels": _no_labels,
}


def _classes(classes: list[dict[str, Any]]) -> str:
    suffering = sorted((one for one in classes if one["suffers"]), key=lambda one: one["p_value"])
    if not suffering:
        return "No class alone is worse than in the test beyond chance (Fisher's exact test for each, Holm)."
    told = [
        f"{one['class']} ({one['right']} of {one['labels']} right, {percent(one['test_right'] / one['test_images'])} in the test)"
        for one in suffering
    ]
    return f"Classes that suffer (Fisher's exact test for each, Holm): {', '.join(told)}."


def _drift(facts: dict[str, Any]) -> str:
    alarms = sorted(
        (test for test in facts["drift"] if test["alarm"]),
        key=lambda test: -test["population_stability"],
    )
    least, count = f"{100 * facts['least_drift']:.0f} %", facts["predictions"]
    if not alarms and facts["least_drift"] > FEW:
        return f"Too few predictions to tell drift: of {count:,}, it would have to concern {least} to show."
    if not alarms:
        respects = f"in any of {len(facts['drift'])} respects"
        unseen = f"what concerns less than {least} of {count:,} predictions would not show"
        return f"Neither inputs nor predictions have drifted from those of the test, {respects}; {unseen}."
    names = [one["class"] for one in facts["classes"]]
    told = [
        f"{test['of']} ({_change(test, names)}; {_size(test['population_stability'])}, p {p_value(test['p_value'])})"
        for test in alarms
    ]
    return f"Drift: not distributed as in the test {'is' if len(told) == 1 else 'are'} {', '.join(told)}."


def _change(test: dict[str, Any], classes: list[str]) -> str:
    """Where to and how far: the class whose share changed most, the medians, or where these tell nothing the share below an edge."""
    field, before = (np.array(test[name]) / sum(test[name]) for name in ("field", "test"))
    if test["edges"] is None:
        row = int(np.abs(field - before).argmax())
        return f"{classes[row]} in {100 * field[row]:.0f} % instead of {100 * before[row]:.0f} %"
    now, then = test["medians"] or (None, None)
    if then is not None and f"{now:.3g}" != f"{then:.3g}":
        return f"{'higher' if now > then else 'lower'} by {abs(now - then):.3g}: median {now:.3g} instead of {then:.3g}"
    below, expected = np.cumsum(field)[:-1], np.cumsum(before)[:-1]
    row = int(np.abs(below - expected).argmax())
    return f"{100 * below[row]:.0f} % below {test['edges'][row]:g} instead of {100 * expected[row]:.0f} %"


def p_value(value: float) -> str:
    return f"= {value:.2g}" if value >= SMALLEST_P else f"< {SMALLEST_P:g}"


def _size(stability: float) -> str:
    return "much" if stability > LARGE else "somewhat" if stability > SMALL else "a little"
