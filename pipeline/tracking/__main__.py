"""`edgeproof sync`: logs what the MLflow store lacks."""

from __future__ import annotations

import sys

from pipeline.process import stage
from pipeline.tracking import runs


def main() -> None:
    if sys.argv[1:] != ["sync"]:
        sys.exit("usage: python -m pipeline.tracking sync")
    sys.exit(0 if runs.sync() else 1)


if __name__ == "__main__":
    stage.run(main)
