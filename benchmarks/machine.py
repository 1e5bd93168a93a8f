"""The machine that a figure was measured on, and the time that it took of its processor."""

from __future__ import annotations

import re
import resource
from pathlib import Path

from pipeline.files import timing_cache

# The instruction sets by which TensorFlow and the runtimes choose their kernels, by their names in
# Linux's /proc/cpuinfo, on x86-64 and Arm.
INSTRUCTION_SETS = re.compile(r"avx2|avx512f|avx512_vnni|avx_vnni|amx_int8|asimd|asimddp|i8mm|sve")
NOTABLE = ("avx2", "avx512f", "vnni", "amx_int8")


def instruction_sets() -> list[str]:
    """The INSTRUCTION_SETS that this processor has."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return []
    return sorted(word for word in words if INSTRUCTION_SETS.fullmatch(word))


def sentence() -> str:
    """The processor, its instruction sets, and the notable ones that an x86-64 lacks."""
    present = instruction_sets()
    if not present:
        return f"{timing_cache.processor()} whose instruction sets are unknown"
    result = f"{timing_cache.processor()} with {', '.join(present)}"
    is_arm = "asimd" in present
    missing = [name for name in NOTABLE if not any(name in have for have in present)]
    if missing and not is_arm:
        result += f", without {', '.join(missing)}"
    return result


def processor_seconds() -> float:
    """Of all processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
