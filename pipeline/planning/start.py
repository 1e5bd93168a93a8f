"""Looks at data, writes params.yaml for them, and says what to expect.

edgeproof start my-photos/ --board esp32-s3
edgeproof estimate
"""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path

from pipeline.config import boards, mnist_problem, params
from pipeline.config.params import NONE, Params
from pipeline.config.params import Network as Layers
from pipeline.config.parts import declared, one_class_each
from pipeline.files import atomic
from pipeline.files.artifacts import Inputs
from pipeline.planning import (
    cost,
    kinds,
    numbers,
    others,
    outlook,
    params_file,
    problem,
    recipe,
    survey,
)
from pipeline.planning.choice import Choice
from pipeline.planning.cost import Shape
from pipeline.planning.data import NOTHING, SURVEYED, Given, Survey, plain
from pipeline.planning.networks import Candidate
from pipeline.planning.parts import check_classes, fewest_outside_test, parts
from pipeline.planning.sampling import FASTEST
from pipeline.process.errors import UserError
from pipeline.process.words import counted
from pipeline.reporting.metrics import ACCURACY


def start(path: Path, board: str | None, output: Path, force: bool, given: Given = NOTHING) -> None:
    """Writes `output` for the data at `path`. Raises UserError."""
    check_board(board)
    base = _text(params.FILE)
    check_output(output, force)
    print(f"looking at {path}", flush=True)
    if given.rate is not None and not 0 < given.rate <= FASTEST:
        raise UserError(f"--rate is {given.rate:g}; expected Hz, at most {FASTEST:,}")
    data = survey.survey(path, given)
    _check_given(data, given)
    _check_embedded(data, board)
    _print_survey(data)
    check_classes(data)
    if given.other != NONE:
        other = Path(given.other)
        _print_others(others.look(path, other, data), other)
    choices, settings = propose(data, path, board, base)
    text = params_file.apply(base, choices)
    _check_written(text, settings)
    atomic.write_text(output, text)
    print(f"wrote {output}: each value that was chosen has its reason after `here:`")
    _print_outlook(settings, data)
    named = "" if output == params.FILE else f"copy {output} to {params.FILE}, and then "
    print(f"next: read problem in {output} and correct it, for the model card prints it; then")
    print(f"  {named}edgeproof run")


def estimate(settings: Params) -> None:
    """Says what the run in params.yaml will need. Raises UserError."""
    name = settings.dataset.name
    if name not in SURVEYED:
        raise UserError(
            f"dataset.name is {name}, which comes with the project; `estimate` is for your own "
            f"data: {', '.join(SURVEYED[:-1])} or {SURVEYED[-1]}"
        )
    data = survey.of_params(settings)
    is_balanced = settings.train.class_weights is not None and settings.problem.metric != ACCURACY
    _print_survey(data, is_balanced)
    check_classes(data)
    _print_outlook(settings, data)


def misfit(settings: Params, board: str) -> str | None:
    """Why the board cannot take the model of params.yaml; None if it can. Raises UserError."""
    data = survey.of_params(settings)
    return cost.files(settings, shape(settings, data)).misfit(board)


def check_board(board: str | None) -> None:
    if board is not None and board not in boards.BOARDS:
        raise UserError(f"--board is {board}; expected one of {', '.join(boards.BOARDS)}")


def _check_given(data: Survey, given: Given) -> None:
    noun = declared("inputs", data.kind)["NOUN"]
    if given.number is not None and data.number is None:
        raise UserError(
            f"--number is {given.number}, which names a column of a list or of recordings, and "
            f"the data are {noun}; leave it out"
        )
    if given.unit is not None and data.number is None:
        raise UserError(
            f"--unit is {given.unit}, and the data ask for {data.target}; name the column of the "
            "numbers with --number"
        )
    if given.rate is not None and not data.is_of_sensors:
        raise UserError(
            f"--rate is {given.rate:g}, which is for recordings of sensors, and the data are "
            f"{noun}; leave it out"
        )


def _check_embedded(data: Survey, board: str | None) -> None:
    if board and not declared("inputs", data.kind)["EMBEDDED"]:
        raise UserError(
            f"--board is {board}, and the exports without Python take images, sounds and series"
        )


def check_output(output: Path, force: bool) -> None:
    """Raises UserError if there is a file that only its user could write again."""
    if output.exists() and not force and not _as_it_came(output):
        raise UserError(
            f"{output} would be overwritten; give --force to replace it, or --output with another "
            "name"
        )


def _as_it_came(path: Path) -> bool:
    """Whether a file still describes MNIST, and git can bring it back."""
    try:
        is_mnist = len(mnist_problem.keys(params.load(path).problem)) == 3
        statuses = [
            subprocess.run(
                ["git", *command, "--", path], capture_output=True, check=False
            ).returncode
            for command in (("ls-files", "--error-unmatch"), ("diff", "--quiet", "HEAD"))
        ]
    except (UserError, OSError):
        return False
    return is_mnist and not any(statuses)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path} is not here; run this in the folder of the project, whose file it changes"
        ) from None


def propose(data: Survey, path: Path, board: str | None, base: str) -> tuple[list[Choice], Params]:
    """The choices, with the first network that the board takes. Raises UserError if none does."""
    fault = None
    kind = kinds.kind_of(data)
    backbone = kind.backbone(data, board)
    has_weights = backbone is not None and _has_weights(backbone)
    for network in kind.candidates(data, board, has_weights):
        choices = recipe.propose(data, path, network, board)
        settings = params.override(params.parsed(base, params.FILE), recipe.overrides(choices))
        fault = board and cost.files(settings, shape(settings, data)).misfit(board)
        if not fault:
            return choices, settings
    raise UserError(f"none of our networks fits {board}: {fault}")


def _has_weights(backbone: Candidate) -> bool:
    """Fetches the published weights."""
    from pipeline.process import imports

    with imports.keras_import():
        module = importlib.import_module(f"pipeline.architectures.{backbone.architecture}")
    side = backbone.side or 0
    try:
        with imports.quiet():
            module.pretrained(Inputs((side, side, 3)), Layers(), None)
    except UserError as error:
        print(
            f"note: the weights of {backbone.architecture} are not available ({error}), so a small "
            "network is proposed. With them, give this command again"
        )
        return False
    return True


def _check_written(text: str, settings: Params) -> None:
    """The text must say what was chosen."""
    written = params.parsed(text, params.FILE)
    assert written == settings, "params.yaml would not say what was chosen"


def shape(settings: Params, data: Survey) -> Shape:
    dataset = settings.dataset
    size = data.size or kinds.kind_of(data).shape(dataset)
    return Shape(size, len(data.class_names), data.kind, data.target, data.highest)


def _print_survey(data: Survey, is_balanced: bool = True) -> None:
    noun = declared("inputs", data.kind)["NOUN"]
    counts = ", ".join(f"{count:,} for {part}" for part, count in data.examples.items())
    examples = f"{sum(data.examples.values()):,} {noun} ({counts})"
    if data.number:
        low, high, unit = data.number.low, data.number.high, data.number.unit
        print(f"{examples}, with {data.class_names[0]} from {plain(low)} to {plain(high)} {unit}")
    else:
        print(f"{examples}, {len(data.class_names)} {data.target}")
        _print_counts(data)
    notes = [*outlook.classes(data, is_balanced), *numbers.remarks(data), *others.among(data)]
    for line in [*data.remarks, *data.ungrouped, *notes]:
        print(f"note: {line}")


def _print_counts(data: Survey) -> None:
    shown = sorted(data.counts.items(), key=lambda item: -item[1])
    more = f" and {len(shown) - problem.NAMED} more" if len(shown) > problem.NAMED else ""
    print("  " + ", ".join(f"{name} {count:,}" for name, count in shown[: problem.NAMED]) + more)


def _print_others(count: int, other: Path) -> None:
    print(
        f"{other} holds {counted(count, 'picture')} of none of the classes: the network learns to "
        "be unsure of them, and a part judges how many are rejected"
    )


def _print_outlook(settings: Params, data: Survey) -> None:
    expected = parts(data)
    for line in outlook.splits(
        expected, settings, fewest_outside_test(data), [*data.counts.values()]
    ):
        print(line)
    if one_class_each(data.target):
        for line in outlook.rejection(expected.validation, settings):
            print(line)
    print("measuring a few batches, which takes half a minute", flush=True)
    input_shape = shape(settings, data)
    print(outlook.training(settings, expected, cost.speed(settings, input_shape)))
    files = cost.files(settings, input_shape)
    for line in [
        *outlook.model(files, settings.embed.format),
        *outlook.board(files, settings.embed.board),
    ]:
        print(line)
