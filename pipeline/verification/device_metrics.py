"""The few figures on each file that `dvc metrics` compares between experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.files.reports.verify import ComparedPair, NumberPair, RanPair


def device_metrics(native: Sequence[RanPair]) -> dict[str, Any]:
    """For each format the worst of the runtimes on this processor, and the worst loss of all.

    `native` are the pairs that ran on this processor. Times are those of the fastest runtime.
    """
    formats: dict[str, list[RanPair]] = {}
    for pair in native:
        formats.setdefault(pair.format, []).append(pair)
    result = {name: _file_metrics(ran) for name, ran in formats.items()}
    bounds = {name for metrics in result.values() for name in metrics if name.endswith("_bound")}
    worst = {
        name: max(metrics[name] for metrics in result.values() if name in metrics)
        for name in sorted(bounds)
    }
    return {**worst, **result}


def _file_metrics(pairs: Sequence[RanPair]) -> dict[str, float]:
    # A slow interpreter sees fewer images, so its bound is not comparable.
    most = max(pair.images for pair in pairs)
    on_all = [pair for pair in pairs if pair.images == most]
    medians = (pair.median_milliseconds for pair in pairs)
    times = [median for median in medians if median is not None]
    arenas = [pair.arena_bytes for pair in pairs if pair.arena_bytes is not None]
    return {
        **_scores(on_all),
        "bytes": pairs[0].bytes,
        **({"median_milliseconds": min(times)} if times else {}),
        **({"arena_bytes": max(arenas)} if arenas else {}),
    }


def _scores(pairs: Sequence[RanPair]) -> dict[str, float]:
    """The worst score and the worst bound of pairs that saw the same images."""
    bound = max(pair.bound for pair in pairs)
    if errors := [pair.error for pair in pairs if isinstance(pair, NumberPair)]:
        return {"test_error": max(errors), "error_added_bound": bound}
    compared = [pair for pair in pairs if isinstance(pair, ComparedPair)]
    accuracy = min(pair.accuracy for pair in compared)
    if metrics := [pair.metric for pair in compared if pair.metric]:
        name, value = metrics[0].name, min(metric.value for metric in metrics)
        return {"test_accuracy": accuracy, f"test_{name}": value, f"{name}_lost_bound": bound}
    return {"test_accuracy": accuracy, "accuracy_lost_bound": bound}
