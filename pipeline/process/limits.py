"""How much memory a process may take that reads what somebody else made."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

MOST_BYTES = 8 * 2**30


def limit_memory() -> None:
    """Lets this process allocate at most `most_bytes()`; beyond that an allocation fails.

    RLIMIT_DATA counts private memory that can be written (setrlimit(2), Linux 4.7), and so the
    whole stack of each thread. RLIMIT_AS would also count what threads and drivers only reserve.
    QEMU's user mode ignores the limit, so an emulated process may take what the machine has; so may
    any process where a system refuses the limit.
    """
    most = most_bytes()
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def most_bytes() -> int:
    """MOST_BYTES, or less: what this machine has, or what the user has set with `ulimit -d`."""
    given = resource.getrlimit(resource.RLIMIT_DATA)
    return min(MOST_BYTES, physical_bytes(), *(n for n in given if n != resource.RLIM_INFINITY))


def physical_bytes() -> int:
    """The memory of this machine, or MOST_BYTES if the system does not tell."""
    with suppress(OSError, ValueError):
        if (count := os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) > 0:
            return count
    return MOST_BYTES


def in_words() -> str:
    """`most_bytes()`, such as 8 GB."""
    return f"{most_bytes() / 2**30:.3g} GB"
