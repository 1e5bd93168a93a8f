"""Which of two versions is older, as `serving/versions.py` documents it."""

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
    ("version", "other"), [("1.0", "1.0.0"), ("1.0-RC1", "1.0rc1"), ("1", "1"), ("01", "1")]
)
def test_equivalent_versions_are_not_older_than_each_other(version: str, other: str) -> None:
    assert not older(version, other)
    assert not older(other, version)
