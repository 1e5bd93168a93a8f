"""lectures/README.md: the question, the published figures and ours, made only from the examples' files and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lectures import comparison
from lectures.comparison import Row
from lectures.example import FOLDER, Study
from lectures.outcome import Results
from pipeline.files.atomic import replacing
from pipeline.reporting.tables import markdown

PAGE = FOLDER / "README.md"
COLUMNS = ("variation", "measure", "published", "ours", "difference", "met")

OPENING = """# The lectures, reproduced

The worked examples of five lectures on training deep networks, run again by the line's own code, with the published figures
beside ours. Each is a file here: `S12.yaml` names its variations as values of `params.yaml`, over `plain.yaml`.

```
make lectures                  # all of them, and this page
edgeproof lectures S12         # one of them; what has been trained before is not trained again
edgeproof lectures S12 --quick # one epoch of 1,000 examples, to see it work; the page stays as it is
```

The lectures: L0 "Training Workflows for Deep Learning" (Notre Dame, 2023), L1 "Training Process Improvements, part 2" (Varma), L2
"Applied Machine Learning, lecture 8" (W4995, 2021), L3 "Advanced NN modelling" (Herrler, FHWS), L4 "Best practices for training
ANNs" (lecture 26).

*Ours* is the mean over the seeds with its 95 % interval (Student's t). A published figure is one run, so it is *met* where it
lies within the 95 % prediction interval of one more run of our recipe, widened by half a unit of its last digit; with one seed or
two, which tell too little, it stays *open*. An order of two variations is met where Welch's t test sees it (p < 0.05), and a
verdict where most of the seeds get it from the line's own diagnosis. All figures are of the last epoch unless a study keeps another;
`first` is the first epoch, a gap is validation against p-training at the last epoch, and `lowest epoch` is that of the lowest
validation loss."""


def write(studies: Mapping[str, Study], results: Mapping[str, Results | None]) -> None:
    with replacing(PAGE) as temporary:
        temporary.write_text(text(studies, results), encoding="utf-8")


def text(studies: Mapping[str, Study], results: Mapping[str, Results | None]) -> str:
    made = {name: (study, results[name]) for name, study in studies.items()}
    found = {
        name: comparison.rows(study, result.outcomes) if result else []
        for name, (study, result) in made.items()
    }
    overview = [
        markdown(("study", "what", "lecture", "published results met", "minutes of one core")),
        markdown(["---"] * 5),
    ]
    for name, (study, result) in made.items():
        minutes = f"{result.seconds / 60:.1f}" if result else ""
        overview.append(
            markdown(
                (
                    f"[{name}](#{name.lower()})",
                    study.title,
                    study.lecture,
                    tally(found[name]) if result else "not run",
                    minutes,
                )
            )
        )
    sections = [section(name, study, result, found[name]) for name, (study, result) in made.items()]
    return (
        "\n\n".join(
            [
                OPENING,
                total([result for _, result in made.values() if result]),
                "\n".join(overview),
                *sections,
            ]
        )
        + "\n"
    )


def total(results: Sequence[Results]) -> str:
    seconds = sum(result.seconds for result in results)
    processors = ", ".join(dict.fromkeys(result.processor for result in results))
    return (
        f"All trainings together take {seconds / 60:.0f} minutes of one core of {processors}, summed from their records, so about "
        f"{seconds / 120:.0f} minutes on two."
    )


def tally(rows: Sequence[Row]) -> str:
    published = [row for row in rows if row.met]
    return (
        f"{sum(row.met == 'yes' for row in published)} of {len(published)}"
        if published
        else "none published"
    )


def seeds(study: Study) -> str:
    fewer = [
        f"{variation.seeds} of {variation.name}"
        for variation in study.variations
        if variation.seeds
    ]
    return "; ".join([str(study.seeds), *fewer])


def verdict(rows: Sequence[Row]) -> str:
    """The sentence on what was met."""
    missed = [
        f"{row.measure.replace('_', ' ')} of {row.variation} ({row.met.removeprefix('no, ') if ',' in row.met else 'another'})"
        for row in rows
        if row.met.startswith("no")
    ]
    if not any(row.met for row in rows):
        return "Nothing was published that could be compared."
    return f"**{tally(rows)} published results are met**{'; not met: ' + '; '.join(missed) if missed else ''}."


def section(name: str, study: Study, results: Results | None, rows: Sequence[Row]) -> str:
    parts = [
        f'<a id="{name.lower()}"></a>\n## {name}: {study.title}',
        f"**{study.question}** ({study.lecture})",
    ]
    if results:
        parts += [
            f"Data: {results.data}. Seeds: {seeds(study)}. {results.seconds / 60:.1f} minutes of one core: `edgeproof lectures {name}`."
        ]
        table = [markdown(COLUMNS), markdown(["---"] * len(COLUMNS))]
        last = ""
        for row in rows:
            shown = "" if row.variation == last else row.variation
            table.append(
                markdown(
                    (
                        shown,
                        row.measure.replace("_", " "),
                        row.published,
                        row.ours,
                        row.difference,
                        row.met,
                    )
                )
            )
            last = row.variation
        parts += ["\n".join(table), f"![{study.title}](results/{name}.png)", verdict(rows)]
    else:
        parts += [f"Not run here; `edgeproof lectures {name}` runs it."]
    parts += study.findings
    parts += [f"A mistake in the listing: {mistake}" for mistake in study.mistakes]
    return "\n\n".join(parts)
