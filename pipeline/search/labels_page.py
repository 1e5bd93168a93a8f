"""reports/labels.html: suspects with their pictures, to decide on. It needs no other file.

The page keeps decisions in the browser's storage until they are saved as corrections.csv.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline import inputs
from pipeline.files import atomic, raw
from pipeline.files.corrections import COLUMNS, Cells
from pipeline.reporting import html

if TYPE_CHECKING:
    from pipeline.search.labels import Suspect

TEMPLATE = "labels.html"


def write(
    path: Path,
    title: str,
    suspects: Sequence[Suspect],
    lines: Sequence[Cells],
    earlier: Sequence[Cells],
) -> None:
    """`lines` are those of the CSV for all suspects, `earlier` those that are already decided."""
    description = raw.description()
    kind = inputs.kind(description.kind)
    images, _ = raw.rows(np.array([suspect.row for suspect in suspects], np.int64))
    shown = [
        {
            "html": kind.html(images[place], description.vocabulary),
            "confidence": suspect.confidence,
            "likelihood": suspect.likelihood,
            **line,
        }
        for place, (suspect, line) in enumerate(zip(suspects, lines, strict=False))
    ]
    template = html.environment(Path(__file__).parent).get_template(TEMPLATE)
    text = template.render(
        title=title,
        columns=COLUMNS,
        class_names=description.class_names,
        suspects=shown,
        lines=lines[: len(shown)],
        more=len(lines) - len(shown),
        earlier=earlier,
        wrong=sum(suspect.is_wrong for suspect in suspects),
    )
    atomic.write_bytes(path, text.encode("utf-8", "replace"))
