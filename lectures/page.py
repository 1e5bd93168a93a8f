"""lectures/README.md, generated from the examples and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lectures import comparison
from lectures.comparison import Row
from lectures.example import FOLDER, Example
from lectures.outcome import ExampleResults
from pipeline.files import atomic
from pipeline.reporting import tables

PAGE = FOLDER / "README.md"
OVERVIEW_COLUMNS = ("example", "what", "lecture", "published results met", "minutes of one core")
COLUMNS = ("variation", "measure", "published", "ours", "difference", "met")

OPENING = """# The lectures, reproduced

The worked examples of five lectures on training deep networks, run with this pipeline, with the
published figures beside ours. Each example is a file here: `S12.yaml` names its variations as
values of `params.yaml`, on top of `plain.yaml`.

```
make lectures                  # all of them, and this page
edgeproof lectures S12         # one of them; finished trainings are not repeated
edgeproof lectures S12 --quick # 1 epoch of at most 1,000 examples, to see it work; changes no page
```

The lectures: L0 "Training Workflows for Deep Learning" (Notre Dame, 2023), L1 "Training Process
Improvements, part 2" (Varma), L2 "Applied Machine Learning, lecture 8" (W4995, 2021), L3 "Advanced
NN modelling" (Herrler, FHWS), L4 "Best practices for training ANNs" (lecture 26).

*Ours* is the mean over the seeds with its 95 % interval (Student's t). A published figure is one
run. It is *met* if it lies within the 95 % prediction interval of one more run of our recipe,
widened by half a unit of its last digit. With one seed or two, which show too little, it stays
*open*. An order of two variations is met if Welch's t test confirms it (p < 0.05), and a verdict if
the pipeline's diagnosis gives it for most of the seeds. All figures are those of the last epoch,
unless an example keeps another one. `first` is the first epoch, a gap is that between validation
and training at the last epoch, and `lowest epoch` is the epoch of the lowest validation loss."""


def write(examples: Mapping[str, Example], results: Mapping[str, ExampleResults | None]) -> None:
    atomic.write_text(PAGE, text(examples, results))


def text(examples: Mapping[str, Example], results: Mapping[str, ExampleResults | None]) -> str:
    overview, sections = [], []
    for name, example in examples.items():
        result = results[name]
        rows = comparison.rows(example, result.outcomes) if result else []
        met = tally(rows) if result else "not run"
        minutes = f"{result.seconds / 60:.1f}" if result else ""
        link = f"[{name}](#{name.lower()})"
        overview.append((link, example.title, example.lecture, met, minutes))
        sections.append(section(name, example, result, rows))
    finished = [result for result in results.values() if result]
    parts = [OPENING, total(finished), tables.table(OVERVIEW_COLUMNS, overview), *sections]
    return "\n\n".join(parts) + "\n"


def total(results: Sequence[ExampleResults]) -> str:
    seconds = sum(result.seconds for result in results)
    processors = ", ".join(dict.fromkeys(result.processor for result in results))
    return (
        f"All trainings together take {seconds / 60:.0f} minutes of one core of {processors},"
        f" summed from their records, so about {seconds / 120:.0f} minutes on two."
    )


def tally(rows: Sequence[Row]) -> str:
    published = [row for row in rows if row.met]
    if not published:
        return "none published"
    return f"{sum(row.met == 'yes' for row in published)} of {len(published)}"


def seeds(example: Example) -> str:
    fewer = [
        f"{variation.seeds} of {variation.name}"
        for variation in example.variations
        if variation.seeds
    ]
    return "; ".join([str(example.seeds), *fewer])


def verdict(rows: Sequence[Row]) -> str:
    """How many published results are met, and which are not."""
    if not any(row.met for row in rows):
        return "No published result can be compared."
    missed = [missed_result(row) for row in rows if row.met.startswith("no")]
    rest = f"; not met: {'; '.join(missed)}" if missed else ""
    return f"**{tally(rows)} published results are met**{rest}."


def missed_result(row: Row) -> str:
    reason = row.met.removeprefix("no, ") if "," in row.met else "another"
    return f"{row.measure.replace('_', ' ')} of {row.variation} ({reason})"


def section(
    name: str, example: Example, results: ExampleResults | None, rows: Sequence[Row]
) -> str:
    parts = [
        f'<a id="{name.lower()}"></a>\n## {name}: {example.title}',
        f"**{example.question}** ({example.lecture})",
    ]
    if results:
        parts += [
            f"Data: {results.data}. Seeds: {seeds(example)}."
            f" {results.seconds / 60:.1f} minutes of one core: `edgeproof lectures {name}`.",
            table(rows),
            f"![{example.title}](results/{name}.png)",
            verdict(rows),
        ]
    else:
        parts += [f"Not run yet; `edgeproof lectures {name}` runs it."]
    parts += example.findings
    parts += [f"A mistake in the listing: {mistake}" for mistake in example.mistakes]
    return "\n\n".join(parts)


def table(rows: Sequence[Row]) -> str:
    cells, previous = [], ""
    for row in rows:
        variation = "" if row.variation == previous else row.variation
        measure = row.measure.replace("_", " ")
        cells.append((variation, measure, row.published, row.ours, row.difference, row.met))
        previous = row.variation
    return tables.table(COLUMNS, cells)
