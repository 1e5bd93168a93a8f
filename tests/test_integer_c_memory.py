"""The arena of the integer C: what is needed at the same time shares no bytes, and it is small."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.embedded import _integer_c
from pipeline.embedded._integer_c import memory
from pipeline.embedded._integer_c.memory import Buffer
from tests.test_integer_c import MIRROR, PUBLISHED


@st.composite
def buffer_lists(draw: st.DrawFn) -> list[Buffer]:
    count = draw(st.integers(1, 12))
    return [
        Buffer(name, 2 * draw(st.integers(1, 50)), first, first + draw(st.integers(0, 4)))
        for name, first in enumerate(draw(st.lists(st.integers(0, 9), min_size=count)))
    ]


@settings(derandomize=True)
@given(buffer_lists())
def test_buffers_that_are_needed_at_the_same_time_do_not_share_bytes(
    buffers: list[Buffer],
) -> None:
    plan = memory.plan(buffers)
    taken = [(plan.offsets[b.name], plan.offsets[b.name] + b.size, b) for b in buffers]
    for start, end, buffer in taken:
        assert 0 <= start < end <= plan.size
        for other_start, other_end, other in taken:
            if other is not buffer and other.overlaps(buffer):
                assert other_end <= start or end <= other_start
    assert plan.size >= memory.least(buffers)


@pytest.mark.skipif(not MIRROR.is_dir(), reason="the mirror has no models of MLPerf Tiny")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_arena_is_hardly_larger_than_what_the_busiest_layer_needs(name: str) -> None:
    code = _integer_c.translate((MIRROR / f"{name}.tflite").read_bytes(), name)
    assert code.least_arena_bytes <= code.arena_bytes <= 1.05 * code.least_arena_bytes
