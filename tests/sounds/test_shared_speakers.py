"""What docs/sounds.md says of speakers that are shared is what the benchmark measures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import shared_speakers
from pipeline.datasets import fsdd
from tests.conftest import ROOT

pytestmark = pytest.mark.long

MIRROR = Path(os.environ.get("DATA_MIRROR", ""))


@pytest.mark.slow
@pytest.mark.skipif(not (MIRROR / fsdd.FILE).is_file(), reason="needs fsdd.zip in DATA_MIRROR")
def test_the_page_on_sounds_says_how_much_shared_speakers_flatter() -> None:
    shared, held_out = shared_speakers.measured()
    page = " ".join((ROOT / "docs/sounds.md").read_text().split())
    assert (
        f"neighbour gets {100 * shared:.0f} % of FSDD's recordings right if speakers are shared "
        f"between training and test set, and {100 * held_out:.0f} % if they are not ("
    ) in page
    of_both = f"neighbour gets {100 * shared:.0f} % right, of other speakers {100 * held_out:.0f} %"
    assert of_both in " ".join((fsdd.__doc__ or "").split())
