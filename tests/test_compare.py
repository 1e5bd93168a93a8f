"""`make compare`: the rows of the table, the aims beside them, and what stands below it."""

from __future__ import annotations

import pytest

from benchmarks import compare_with_keras_example as compare
from benchmarks import machine

SAME = "the same, the example with our allocator"


@pytest.fixture
def table() -> str:
    example = compare.Fit([10.0, 20.0, 200.0], [0.98, 0.99, 0.992], faults=5)
    with_our_allocator = compare.Fit([8.0, 16.0, 160.0], [0.98, 0.99, 0.992], faults=2)
    whole = compare.Whole(
        seconds=190.0,
        fit=100.0,
        latency=10.0,
        emulated=40.0,
        nothing=2.0,
        trivial=1.9,
        accuracy=0.9957,
        faults=3,
    )
    first = compare.Fit([5.0], [0.991], faults=1)
    return compare.table(first, example, with_our_allocator, whole)


@pytest.fixture
def rows(table: str) -> dict[str, list[str]]:
    """The rows of the table by name, as (ours, peer, ratio, aim)."""
    return {row[:70].strip(): row[70:].split() for row in table.splitlines()[1:-2]}


def test_emulated_processors_have_an_aim_of_a_quarter_of_the_fit(
    rows: dict[str, list[str]],
) -> None:
    row = rows["verification on emulated processors, against the fit"]
    assert row == ["40.0", "100.0", "0.40", "0.25"]


def test_the_row_of_the_pipeline_says_that_emulated_processors_are_excluded(
    rows: dict[str, list[str]],
) -> None:
    (name,) = (name for name in rows if name.startswith("pipeline"))
    assert name.startswith("pipeline without emulated processors (99.57 %)")
    assert rows[name] == ["150.0", "200.0", "0.75", "0.9"]
    assert all(len(figures) >= 3 for figures in rows.values()), "no name runs into the figures"


def test_the_example_has_a_second_row_with_our_allocator(table: str) -> None:
    same = [row[70:].split() for row in table.splitlines() if row.strip().startswith(SAME)]
    assert same == [["5.0", "16.0", "0.31"], ["150.0", "160.0", "0.94"]]


def test_below_the_table_are_the_page_faults_and_the_processor(table: str) -> None:
    faults, processor = table.splitlines()[-2:]
    assert faults == (
        "page faults: ours in 2 epochs 1; the pipeline's stages 3; the example 5; "
        "the example with our allocator 2"
    )
    assert processor == machine.sentence()
