"""The few figures on each file that `dvc metrics` compares between experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.files.reports.verify import ComparedPair


def device_metrics(native: Sequence[ComparedPair]) -> dict[str, Any]:
    """For each format the worst of the runtimes on this processor, and the worst loss of all.

    `native` are the pairs that ran on this processor. Times are those of the fastest runtime.
    """
    formats: dict[str, list[ComparedPair]] = {}
    for pair in native:
        formats.setdefault(pair.format, []).append(pair)
    result = {name: _file_metrics(ran) for name, ran in formats.items()}
    bounds = [metrics["accuracy_lost_bound"] for metrics in result.values()]
    worst = {"accuracy_lost_bound": max(bounds)} if bounds else {}
    return {**worst, **result}


def _file_metrics(pairs: Sequence[ComparedPair]) -> dict[str, float]:
    # A slow interpreter sees fewer images, so its bound is not comparable.
    most = max(pair.images for pair in pairs)
    on_all = [pair for pair in pairs if pair.images == most]
    medians = (pair.median_milliseconds for pair in pairs)
    times = [median for median in medians if median is not None]
    arenas = [pair.arena_bytes for pair in pairs if pair.arena_bytes is not None]
    return {
        "test_accuracy": min(pair.accuracy for pair in on_all),
        "accuracy_lost_bound": max(pair.accuracy_lost_bound for pair in on_all),
        "bytes": pairs[0].bytes,
        **({"median_milliseconds": min(times)} if times else {}),
        **({"arena_bytes": max(arenas)} if arenas else {}),
    }
