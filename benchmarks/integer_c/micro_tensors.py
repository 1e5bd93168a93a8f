"""TensorFlow Lite Micro's inner tensors; runs in the environment `tflite_micro`.

Each line of standard input is a JSON object with the paths `model`, `inputs` (N, ...) and `outputs`
and the numbers of `tensors`. Writes these tensors for every input, and answers with a line: empty,
or why the interpreter refused the model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tflite_micro.python.tflite_micro import runtime

ARENA_BYTES = 16_000_000


def run(job: dict[str, Any]) -> None:
    interpreter = runtime.Interpreter.from_bytes(
        Path(job["model"]).read_bytes(),
        arena_size=ARENA_BYTES,
        intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
    )
    tensors: dict[int, list[np.ndarray]] = {index: [] for index in job["tensors"]}
    for values in np.load(job["inputs"]):
        interpreter.set_input(values[None], 0)
        interpreter.invoke()
        for index, outputs in tensors.items():
            outputs.append(np.array(interpreter.GetTensor(index, 0)["tensor_data"]))
    arrays: dict[str, Any] = {str(index): np.array(rows) for index, rows in tensors.items()}
    np.savez(job["outputs"], **arrays)


for line in sys.stdin:
    try:
        run(json.loads(line))
        reason = ""
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
    print(reason, flush=True)
