"""The params of the project, with other values."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import params
from pipeline.config.overrides import Overrides
from pipeline.config.params import Params
from tests.conftest import ROOT


def configure(values: Overrides, settings: Params | None = None) -> Params:
    """Writes params.yaml of the project, or `settings`, with these values into this folder."""
    changed = params.override(settings or params.load(ROOT / "params.yaml"), values)
    Path("params.yaml").write_text(changed.model_dump_json())
    return changed
