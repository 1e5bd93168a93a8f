"""The machine that a figure was measured on."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.files import timing_cache

# as Linux names them in /proc/cpuinfo, x86-64 and Arm: those that decide which kernels TensorFlow and the runtimes choose
INSTRUCTION_SETS = re.compile(r"avx2|avx512f|avx512_vnni|avx_vnni|amx_int8|asimd|asimddp|i8mm|sve")
NOT_THERE = ("avx2", "avx512f", "vnni", "amx_int8")


def instruction_sets() -> list[str]:
    """Those of this processor that matter here."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return []
    return sorted(word for word in words if INSTRUCTION_SETS.fullmatch(word))


def sentence() -> str:
    """The processor, what it has and what it lacks."""
    found = instruction_sets()
    there = f"with {', '.join(found)}" if found else "whose instruction sets are unknown"
    missing = [
        name
        for name in NOT_THERE
        if found and "asimd" not in found and not any(name in have for have in found)
    ]
    return f"{timing_cache.processor()} {there}" + (
        f", without {', '.join(missing)}" if missing else ""
    )
