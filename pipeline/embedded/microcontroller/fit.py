"""Prints what mcufit measures for a TensorFlow Lite file, as one JSON object.

    python fit.py FILE NODE     in the environment `embedded`

mcufit runs TensorFlow Lite Micro compiled to 32-bit WebAssembly, so pointers have the same size
as on a microcontroller.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mcufit.analysis.fit_checker import FitChecker
from mcufit.analysis.latency import count_macs
from mcufit.boards.yaml_repo import YamlBoardRepository
from mcufit.estimation.measured import MeasurementUnavailableError
from mcufit.estimation.wasm import WasmArenaEstimator
from mcufit.parsing.tflite_parser import TFLiteModelParser


def main() -> None:
    model = TFLiteModelParser().parse(Path(sys.argv[1]))
    try:
        reports = FitChecker(WasmArenaEstimator(sys.argv[2]), YamlBoardRepository()).check_all(
            model
        )
    except MeasurementUnavailableError as error:
        sys.exit(" ".join(str(error).split()))
    boards = [
        {
            "board": report.board.name,
            "chip": report.board.chip,
            "ram_bytes": report.board.usable_sram_bytes,
            "flash_bytes": report.board.flash_bytes,
            "fits": report.fits,
        }
        for report in reports
    ]
    arena = reports[0].estimate.total_arena_bytes
    print(
        json.dumps(
            {
                "arena": arena,
                "flash": reports[0].flash_needed_bytes,
                "macs": count_macs(model),
                "boards": boards,
            }
        )
    )


if __name__ == "__main__":
    main()
