"""How much memory a process may take that reads what somebody else made."""

from __future__ import annotations

import resource

MOST_BYTES = 8 * 2**30


def limit_memory() -> None:
    """Lets this process allocate at most MOST_BYTES; beyond that an allocation fails.

    RLIMIT_DATA counts private memory that can be written (setrlimit(2), Linux 4.7). RLIMIT_AS would
    also count what threads and drivers only reserve.
    """
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = MOST_BYTES if hard == resource.RLIM_INFINITY else min(MOST_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
