"""What stands between a model and its bundle: the sentences of every gate that it fails, each with a cure."""

from __future__ import annotations

from typing import Any

from pipeline.config.params import Params
from pipeline.config.processors import NATIVE
from serving.gate import COULD_NOT_RUN, PROVEN, WORSE


def failures(chosen: Params, reports: dict[str, Any]) -> list[str]:
    """Every gate that the reports fail; none where the model may be packaged."""
    return [
        *reports["evaluate"]["gate"]["failures"],
        *_not_converted(reports["export"]["formats"]),
        *_not_good_enough(chosen, reports["verify"]["pairs"]),
        *_refused_targets(chosen, reports["embed"]["targets"]),
    ]


def files(reports: dict[str, Any], *, draft: bool = False) -> list[str]:
    """The formats that belong into a bundle: those that ran here, and are worse nowhere. A draft takes those too."""
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


def name(pair: dict[str, Any]) -> str:
    """A pair of the report of `verify` in words."""
    there = "" if pair["processor"] == NATIVE else f" on {pair['processor']}"
    return f"{pair['format']} on {pair['runtime']}{there}"


def _not_converted(formats: dict[str, Any]) -> list[str]:
    return [
        f"{name} could not be converted: {entry['error']}; take it out of export.formats"
        for name, entry in formats.items()
        if "error" in entry
    ]


def _not_good_enough(chosen: Params, pairs: list[dict[str, Any]]) -> list[str]:
    demanded = chosen.verify.require
    here = {(pair["format"], pair["state"]) for pair in pairs if pair["processor"] == NATIVE}
    return [
        f"{name(pair)} is {pair['state']} ({pair['reason']})"
        + (f", and verify.require is {demanded}" if pair["state"] != WORSE else "")
        for pair in pairs
        if pair["state"] == WORSE or (demanded == PROVEN and pair["state"] != PROVEN)
        if pair["processor"] == NATIVE
        or (pair["format"], pair["state"]) not in here  # the same again
    ]


def _refused_targets(chosen: Params, targets: list[dict[str, Any]]) -> list[str]:
    if chosen.embed.targets == "all":
        return []
    return [
        f"{row['target']} refuses the model: {row['refused']}; embed.targets: all would leave it out"
        for row in targets
        if "refused" in row
    ]
