"""What the API costs a device in time and memory beside the bare runtime."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.device import RUNTIMES, Run, call

pytestmark = pytest.mark.slow


TIMED_PREDICTIONS = """
import os, sys, time
import numpy as np
processes = [os.getpid()]
if sys.argv[1] == "bare":
    data = open(sys.argv[2], "rb").read()
    if data[4:8] == b"TFL3":
        if sys.argv[4] == "litert":
            from ai_edge_litert.interpreter import Interpreter
        else:
            from tflite_runtime.interpreter import Interpreter
        bare = Interpreter(model_content=data, num_threads=1)
        bare.allocate_tensors()
        input_index = bare.get_input_details()[0]["index"]
        output_index = bare.get_output_details()[0]["index"]
        def predict(image):
            bare.set_tensor(input_index, image)
            bare.invoke()
            return bare.get_tensor(output_index)
    else:
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(data, options)
        def predict(image):
            return session.run(["probabilities"], {"image": image})[0]
else:
    from serving import Classifier
    predict = Classifier.load(sys.argv[2], format=sys.argv[3]).predict
    if sys.argv[4] == "tflite_runtime":
        processes.append(predict.__self__._probabilities.__self__._child._process.pid)
image = np.zeros((1, 28, 28, 1), np.uint8)
predict(image)
print(*processes, flush=True)
for _ in sys.stdin:
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        predict(image)
        seconds.append(time.perf_counter() - start)
    print(min(seconds), flush=True)
"""


def resident_megabytes(processes: list[int]) -> float:
    """The memory of processes; pages of a file that they share count once."""
    private, shared = 0, dict[str, int]()
    for process in processes:
        for part in psutil.Process(process).memory_maps():
            private += part.private_clean + part.private_dirty
            shared[part.path] = max(shared.get(part.path, 0), part.shared_clean + part.shared_dirty)
    return (private + sum(shared.values())) / 1e6


@pytest.mark.parametrize(
    ("runtime", "file"),
    [
        ("litert", "tflite_float32.tflite"),
        ("onnxruntime", "onnx_float32.onnx"),
        ("tflite_runtime", "tflite_int8.tflite"),
    ],
)
def test_the_api_costs_little_time_and_memory_beside_the_bare_runtime(
    devices: dict[str, Path], archive: Path, bundle: Path, runtime: str, file: str
) -> None:
    """At most 1.1 times the time and 26 MB more.

    The fastest of 4,000 predictions counts, taken in alternating rounds: other work on the machine
    can only slow one down.

    The child process of tflite_runtime would need a second processor, which is not always free, so
    it may take twice the time.
    """

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        command = [devices[runtime] / "python", "-c", TIMED_PREDICTIONS, *arguments]
        command += [Path(file).stem, runtime]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(program: subprocess.Popen[str]) -> list[str]:
        assert program.stdout is not None
        return program.stdout.readline().split()

    programs = {"bare": start("bare", bundle / file), "serving": start("serving", archive)}
    memory = {
        kind: resident_megabytes([int(number) for number in read(program)])
        for kind, program in programs.items()
    }
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(400):
        for kind, program in programs.items():
            assert program.stdin is not None
            program.stdin.write("\n")
            program.stdin.flush()
            best[kind] = min(best[kind], float(read(program)[0]))
    for program in programs.values():
        program.communicate()
    assert memory["serving"] - memory["bare"] <= 26
    assert best["serving"] <= (2 if runtime == "tflite_runtime" else 1.1) * best["bare"]


FIRST_PREDICTION = """
import sys
import numpy as np
from serving import Classifier
Classifier.load(sys.argv[1]).predict(np.zeros((1, 28, 28, 1), np.uint8))
"""
IMPORT_RUNTIME = """
from contextlib import suppress
import numpy
with suppress(ImportError):
    import ai_edge_litert.interpreter
with suppress(ImportError):
    import onnxruntime
with suppress(ImportError):
    import tflite_runtime.interpreter
"""


def processor_seconds(*command: object, cwd: Path) -> float:
    """The time of the processor that a program takes, with its child processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert call(*command, cwd=cwd).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_from_start_to_first_prediction_takes_at_most_half_a_second(
    devices: dict[str, Path], archive: Path, tmp_path: Path, runtime: str
) -> None:
    """The best of ten. On a slow machine it is compared with the import of numpy and the runtime.

    It is time of the processor, since other work can only make a program wait.
    """
    python = devices[runtime] / "python"
    seconds, bare = (
        min(processor_seconds(python, "-c", code, archive, cwd=tmp_path) for _ in range(10))
        for code in (FIRST_PREDICTION, IMPORT_RUNTIME)
    )
    assert seconds < max(0.5, 4 * bare)


def test_bench_measures_every_file_that_runs_on_the_device(run: Run, archive: Path) -> None:
    done = run("serving", "bench", archive, "--runs", 64, "--json")
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == (2 if results[0]["runtime"] == "onnxruntime" else 4)
    assert all(result["median_milliseconds"] <= result["p95_milliseconds"] for result in results)
    assert all(result["images_per_second"] > 100 for result in results)
