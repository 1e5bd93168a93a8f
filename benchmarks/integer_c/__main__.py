"""Compares many random networks with TensorFlow Lite Micro; prints a row for each operator.

python -m benchmarks.integer_c [NETWORKS]
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.integer_c import oracle
from benchmarks.integer_c.oracle import Micro
from benchmarks.integer_c.random_networks import seeded
from pipeline.process import stage

AT_ONCE, INPUTS = 50, 20


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    micro, layers, values, differing = Micro(), Counter[str](), Counter[str](), Counter[str]()
    for start in range(0, count, AT_ONCE):
        models = [seeded(seed) for seed in range(start, min(count, start + AT_ONCE))]
        with tempfile.TemporaryDirectory() as folder:
            rows = oracle.compare(micro, models, INPUTS, Path(folder))
        for row in rows:
            layers[row.operator] += 1
            values[row.operator] += row.total
            differing[row.operator] += row.differing
        print(f"{min(count, start + AT_ONCE):,} of {count:,} networks", file=sys.stderr)
    micro.close()
    for operator in sorted(layers):
        print(f"{operator}\t{layers[operator]}\t{values[operator]:,}\t{differing[operator]}")
    sys.exit(bool(sum(differing.values())))


if __name__ == "__main__":
    stage.run(main)
