"""Compares many random networks with TensorFlow Lite Micro; prints a row for each operator.

python -m tests.integer_c [NETWORKS]
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from pipeline.embedded import _integer_c
from pipeline.embedded._integer_c.network import read
from pipeline.process import stage
from tests.integer_c import oracle
from tests.integer_c.oracle import Difference, Micro
from tests.integer_c.random_networks import seeded

AT_ONCE, INPUTS = 50, 20


def compare(micro: Micro, seeds: range) -> list[Difference]:
    """A row for each layer of the networks of `seeds`, which are compiled into one program."""
    models = [seeded(seed) for seed in seeds]
    codes = [_integer_c.translate(model, "a random network") for model in models]
    with tempfile.TemporaryDirectory() as folder:
        program = oracle.compiled(codes, Path(folder))
        return [
            row
            for number, model in enumerate(models)
            for row in oracle.differences(
                micro, model, oracle.inputs(read(model), INPUTS), [program, str(number)]
            )
        ]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    micro, layers, values, differing = Micro(), Counter[str](), Counter[str](), Counter[str]()
    for start in range(0, count, AT_ONCE):
        for row in compare(micro, range(start, min(count, start + AT_ONCE))):
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
