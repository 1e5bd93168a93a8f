"""Which of two versions is older, by what `serving/versions.py` promises."""

from __future__ import annotations

import pytest

from serving.versions import older

RISING = (
    *("0.9", "1.0-alpha", "1.0-alpha.1", "1.0b1", "1.0rc1", "1.0-rc2", "1.0", "1.0+1", "1.0+2"),
    *("1.0.1", "1.9", "1.10", "2.0-rc.1", "2", "2024a", "2024b", "20261101"),
)


def test_every_version_is_older_than_all_that_follow() -> None:
    for index, version in enumerate(RISING):
        for place, other in enumerate(RISING):
            assert older(version, other) == (index < place), (version, other)


@pytest.mark.parametrize(
    ("one", "other"), [("1.0", "1.0.0"), ("1.0-RC1", "1.0rc1"), ("1", "1"), ("01", "1")]
)
def test_versions_that_say_the_same_are_not_older_than_each_other(one: str, other: str) -> None:
    assert not older(one, other)
    assert not older(other, one)
