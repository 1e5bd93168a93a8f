"""Estimates of files and memory before anything is trained, and whether a board is enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import check
from pipeline.bundle import gates
from pipeline.config import boards, params
from pipeline.config.boards import BOARDS
from pipeline.files.reports.embed import EmbedReport, TargetReport
from pipeline.planning import (
    cost,
    start,
)
from pipeline.planning.cost import NetworkFiles, Shape
from pipeline.process.errors import UserError
from pipeline.runtimes import environments
from tests.conftest import ROOT, Project


def small(arena: int, flash: int) -> NetworkFiles:
    return NetworkFiles(
        *(10, 10, 10),
        micro_arena_bytes=arena,
        micro_arena_bytes_esp32=2 * arena,
        micro_flash_bytes=flash,
    )


def test_a_model_fits_a_board_if_both_memories_take_it() -> None:
    board = BOARDS["rp2040"]
    assert small(board.ram_bytes, board.flash_bytes).misfit("rp2040") is None
    assert "bytes of RAM" in str(small(board.ram_bytes + 1, 1).misfit("rp2040"))
    assert "bytes of flash" in str(small(1, board.flash_bytes + 1).misfit("rp2040"))
    half = BOARDS["esp32-s3"].ram_bytes // 2
    assert small(half, 1).misfit("esp32-s3") is None
    assert "bytes of RAM" in str(small(half + 1, 1).misfit("esp32-s3")), "ESP-NN needs more"


def test_no_board_has_more_memory_than_mcufit_gives_it() -> None:
    environment = environments.FOLDER / environments.EMBEDDED
    file = next(environment.glob("lib/python*/site-packages/mcufit/boards/data/boards.yaml"), None)
    if file is None:
        pytest.skip("the environment of mcufit is not there")
    theirs = {board["id"]: board for board in YAML(typ="safe").load(file)["boards"]}
    for name, board in BOARDS.items():
        other = theirs[board.mcufit]
        assert board.ram_bytes <= other["sram"] - other["reserved_sram"], name
        assert board.flash_bytes == other["flash"], name


def test_a_chip_whose_ram_is_in_parts_has_one_figure_everywhere() -> None:
    for chip, name in (
        ("ESP32 (Xtensa LX6 dual-core @ 240 MHz)", "esp32"),
        ("STM32F407VG (Cortex-M4F @ 168 MHz)", "stm32f407"),
    ):
        assert boards.one_array(chip, 300_000) == BOARDS[name].ram_bytes
        assert boards.one_array(chip, 50_000) == 50_000
    assert boards.one_array("RP2040 (Cortex-M0+)", 237_568) == 237_568


def test_an_unknown_board_and_a_board_without_its_target_are_refused() -> None:
    shipped = params.load(ROOT / "params.yaml")
    with pytest.raises(UserError, match=r"embed\.board: 'uno' is not a known board; expected null"):
        params.override(shipped, {"embed.board": "uno"})
    with pytest.raises(UserError, match="targets does not hold microcontroller; add it"):
        params.override(shipped, {"embed.board": "rp2040", "embed.targets": ["c"]})


def test_a_board_that_cannot_take_the_model_is_a_gate() -> None:
    shipped = params.load(ROOT / "params.yaml")
    fault = boards.misfit("rp2040", 10**6, 10**5)
    row = TargetReport(target="microcontroller", format="tflite_int8", refused=fault)
    assert gates.refused_targets(shipped, [row]) == []
    (sentence,) = gates.refused_targets(params.override(shipped, {"embed.board": "rp2040"}), [row])
    assert sentence.startswith("embed.board is rp2040, and microcontroller refuses the model: it ")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_estimates_are_those_of_a_real_export(finished: Project) -> None:
    settings = params.load(finished.folder / "params.yaml")
    files = cost.files(settings, Shape((28, 28, 1), 10))
    exported = finished.folder / "exported"
    for estimate, name in (
        (files.float_bytes, "tflite_float32.tflite"),
        (files.integer_bytes, "tflite_int8.tflite"),
    ):
        assert estimate == pytest.approx((exported / name).stat().st_size, rel=0.03)
    report = EmbedReport.model_validate_json(
        (finished.folder / EmbedReport.PATH).read_text(encoding="utf-8")
    )
    measured: dict[str, Any] = {row.target: row.figures for row in report.targets}
    assert files.c_arena_bytes == measured["c"]["arena_bytes"]
    assert files.c_flash_bytes == measured["c"]["constant_bytes"]
    micro = measured["microcontroller"]
    assert files.multiply_accumulates == micro["multiply_accumulates"]
    assert files.micro_arena_bytes == pytest.approx(micro["arena_bytes"], abs=256)
    assert files.micro_flash_bytes == pytest.approx(micro["flash_bytes_with_runtime"], rel=0.03)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("architecture", "shape", "classes", "exported"),
    [  # as docs/microcontroller.md records them, of trained models
        ("tiny", (28, 28, 1), 10, (18_304, 11_064)),
        ("mobilenet_v1", (96, 96, 3), 6, (313_496, 112_288)),
    ],
)
def test_estimates_are_those_of_recorded_exports(
    architecture: str, shape: tuple[int, ...], classes: int, exported: tuple[int, int]
) -> None:
    settings = params.override(
        params.load(ROOT / "params.yaml"), {"train.architecture": architecture}
    )
    files = cost.files(settings, Shape(shape, classes))
    # The description counts with cost.CARD_BYTES, and that of MNIST is about half as long.
    assert files.integer_bytes == pytest.approx(exported[0], rel=0.07, abs=cost.CARD_BYTES / 2)
    assert files.micro_arena_bytes is not None
    assert exported[1] <= files.micro_arena_bytes <= 1.1 * exported[1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_start_writes_a_file_that_check_passes_and_says_what_to_expect(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start.start(folder, "rp2040", Path("params.yaml"), force=True)
    shown = capsys.readouterr().out
    for expected in (
        "50 images (50 for train), 2 classes",
        "cat 30, dog 20",
        "about 32 examples for training, 8 for validation, 10 for the test",
        " for 80 epochs of edge on this machine",
        "47,234 parameters",
        "rp2040 takes it",
        "edgeproof run",
    ):
        assert expected in shown
    with pytest.raises(UserError, match=r"folds\.json does not exist; `edgeproof run` writes"):
        check.main()
    Path("reports").mkdir()
    Path("reports/folds.json").touch()
    check.main()
    assert capsys.readouterr().out == "rp2040 takes the model\n"
    settings = params.load()
    assert (settings.problem.name, settings.embed.board) == ("my-pets", "rp2040")
    start.estimate(settings)
    assert "47,234 parameters" in capsys.readouterr().out
    Path("params.yaml").write_text(
        json.dumps(
            {
                **settings.model_dump(mode="json"),
                "dataset": {**settings.dataset.model_dump(), "height": 256, "width": 256},
            }
        )
    )
    with pytest.raises(UserError, match=r"does not fit embed\.board: it needs [\d,]+ bytes of RAM"):
        check.main()
