"""The gates between a model and its bundle: a sentence with a cure for each gate that fails."""

from __future__ import annotations

from typing import Any

from pipeline.config.params import Params
from pipeline.config.processors import NATIVE
from serving.gate import COULD_NOT_RUN, PROVEN, WORSE


def failures(params: Params, reports: dict[str, Any]) -> list[str]:
    """The gates that the reports fail; empty if the model may be packaged."""
    return [sentence for failures in by_gate(params, reports).values() for sentence in failures]


def by_gate(params: Params, reports: dict[str, Any]) -> dict[str, list[str]]:
    """For each gate the sentences on its failures; none if it is passed."""
    evaluation = reports["evaluate"]["gate"]
    # `evaluate` lists a missed target first.
    missed = 0 if evaluation["target_reached"] else 1
    return {
        "target": evaluation["failures"][:missed],
        "baseline": evaluation["failures"][missed:],
        "export": _not_converted(reports["export"]["formats"]),
        "verify": _not_good_enough(params, reports["verify"]["pairs"]),
        "embed": _refused_targets(params, reports["embed"]["targets"]),
    }


def files(reports: dict[str, Any], *, draft: bool = False) -> list[str]:
    """The formats that go into a bundle: those that ran here and are not worse anywhere.

    A draft includes the worse ones too.
    """
    pairs = reports["verify"]["pairs"]
    ran = {
        pair["format"]
        for pair in pairs
        if pair["processor"] == NATIVE and pair["state"] != COULD_NOT_RUN
    }
    worse = {pair["format"] for pair in pairs if pair["state"] == WORSE}
    return [
        name
        for name in reports["export"]["formats"]
        if name in ran and (draft or name not in worse)
    ]


def pair_name(pair: dict[str, Any]) -> str:
    """A pair in the report of `verify`, in words."""
    where = "" if pair["processor"] == NATIVE else f" on {pair['processor']}"
    return f"{pair['format']} on {pair['runtime']}{where}"


def _not_converted(formats: dict[str, Any]) -> list[str]:
    return [
        f"{name} could not be converted: {entry['error']}; take it out of export.formats"
        for name, entry in formats.items()
        if "error" in entry
    ]


def _not_good_enough(params: Params, pairs: list[dict[str, Any]]) -> list[str]:
    required = params.verify.require
    native = {(pair["format"], pair["state"]) for pair in pairs if pair["processor"] == NATIVE}
    return [
        f"{pair_name(pair)} is {pair['state']} ({pair['reason']})"
        + (f", and verify.require is {required}" if pair["state"] != WORSE else "")
        for pair in pairs
        if pair["state"] == WORSE or (required == PROVEN and pair["state"] != PROVEN)
        # A file that already fails here is not reported again for every emulated processor.
        if pair["processor"] == NATIVE or (pair["format"], pair["state"]) not in native
    ]


def _refused_targets(params: Params, targets: list[dict[str, Any]]) -> list[str]:
    if params.embed.targets == "all":
        return []
    return [
        f"{row['target']} refuses the model: {row['refused']}; "
        "`embed.targets: all` would skip this target"
        for row in targets
        if "refused" in row
    ]
