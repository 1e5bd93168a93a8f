"""A device installed from nothing but the bundle: it runs, and it survives crashes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.device import Run, call, install

pytestmark = pytest.mark.slow

# With these ONNX Runtime sends nothing anyway, or keeps it elsewhere
SILENCING = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")


def test_a_device_installed_from_the_bundle_alone_may_run_it(
    run: Run, archive: Path, bundle: Path
) -> None:
    count = len((bundle / "SHA256SUMS").read_text().splitlines())
    for path in (archive, bundle):
        done = run("serving", "check", path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith("This device may run mnist-digits 1.0.0: ")
        assert f"{count} files, undamaged;" in done.stdout
    assert json.loads(run("serving", "check", archive, "--json").stdout)["may_run"] is True
    proved = run("serving", "prove", archive, "--json")
    assert (proved.returncode, json.loads(proved.stdout)["state"]) == (0, "proven"), proved.stderr
    code = """
from importlib.metadata import distributions
print(*(distribution.metadata["Name"].lower() for distribution in distributions()))
"""
    installed = run("python", "-c", code).stdout.split()
    assert not {"tensorflow", "keras", "mlflow", "pipeline"} & set(installed)


@pytest.mark.parametrize(("version", "runtime"), [("3.9", "tflite_runtime"), ("3.13", "litert")])
def test_the_oldest_and_the_newest_python_may_run_it(
    bundle: Path, tmp_path: Path, version: str, runtime: str
) -> None:
    """If pyenv has installed them."""
    root = tmp_path
    if pyenv := shutil.which("pyenv"):
        root = Path(call(pyenv, "root").stdout.strip())
    pythons = sorted(root.glob(f"versions/{version}.*/bin/python"))
    if not pythons:
        pytest.skip(f"there is no Python {version} here")
    install(tmp_path / "device", bundle, runtime, str(pythons[-1]))
    done = call(tmp_path / "device/bin/serving", "check", bundle)
    assert "This device may run mnist-digits 1.0.0: " in done.stdout, done.stderr
    done = call(tmp_path / "device/bin/serving", "prove", bundle)
    assert done.returncode == 0, done.stderr


def test_the_wheel_runs_without_installation_also_with_the_interpreter_of_microcontrollers(
    bundle: Path, tmp_path: Path
) -> None:
    (wheel,) = (bundle / "wheels").glob("*.whl")
    python = Path(sys.prefix) / "runtimes/tflite_micro/bin/python"
    command = (python, "-m", "serving", "check", bundle)
    done = call(*command, cwd=tmp_path, env={"PYTHONPATH": str(wheel)})
    verdict = "This device may run mnist-digits 1.0.0: tflite_int8 on tflite_micro"
    assert verdict in done.stdout, done.stderr


def test_a_damaged_file_is_refused_by_every_interpreter_in_one_sentence(
    archive: Path, tmp_path: Path
) -> None:
    code = """
import sys
from serving import Bundle, RuntimeRefusalError, runtimes
good = Bundle(sys.argv[2]).read("tflite_int8.tflite")
header = b"\\x1c\\0\\0\\0TFL3"
for data in (b"", b"junk", b"x" * 70_000, good[: len(good) // 2], header + bytes(200)):
    try:
        runtimes.open_model(sys.argv[1], data)
        print("accepted")
    except RuntimeRefusalError as error:
        print(error)
"""
    for runtime in ("tflite_micro", "litert"):
        python = Path(sys.prefix) / f"runtimes/{runtime}/bin/python"
        done = call(python, "-c", code, runtime, archive, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 5
        for line in lines:
            assert line.startswith(f"{runtime} refuses the file: "), line
            assert not line.endswith("."), "the reason is part of a longer sentence"


def test_a_process_that_does_not_load_in_time_is_a_timeout(archive: Path) -> None:
    """The server distinguishes it from other faults: it asks its clients to retry."""
    code = """
import sys
import numpy as np
from serving import Bundle
from serving.errors import RuntimeTimeoutError
from serving.subprocess_runtime import SubprocessModel
bundle = Bundle(sys.argv[1])
model = SubprocessModel("tflite_runtime", bundle.read("tflite_float32.tflite"), bundle.card)
model.close()
model._seconds_to_load = 0.001
try:
    model.probabilities(np.zeros((1, 28, 28, 1), np.uint8))
except RuntimeTimeoutError as error:
    print(error)
"""
    python = Path(sys.prefix) / "runtimes/tflite_runtime/bin/python"
    done = call(python, "-c", code, archive, cwd=ROOT)
    sentence = "the process of tflite_runtime did not load the model within 0 seconds\n"
    assert done.stdout == sentence, done.stderr


def test_the_golden_photos_are_reproduced_to_the_pixel(run: Run, bundle: Path) -> None:
    code = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from serving import Bundle, photo
bundle = Bundle(sys.argv[1])
photos = sorted((Path(sys.argv[1]) / "photos").glob("*.png"))
inputs = [path for path in photos if "expected" not in path.name]
for path in inputs:
    expected = np.asarray(Image.open(path.with_suffix(".expected.png")))
    np.testing.assert_array_equal(photo.read(path, bundle.card)[..., 0], expected)
print(len(inputs))
"""
    done = run("python", "-c", code, bundle)
    assert done.stdout == "5\n", done.stderr


def test_threads_share_a_classifier_and_batches_equal_single_images(
    run: Run, archive: Path
) -> None:
    code = """
import io, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from serving import Bundle, Classifier
bundle = Bundle(sys.argv[1])
images = np.load(io.BytesIO(bundle.read("golden.npz")))["images"]
classifier = Classifier.load(bundle)
single = np.concatenate([classifier.predict(image[None]) for image in images])
batch = classifier.predict(np.tile(images, (10, 1, 1, 1)))
np.testing.assert_allclose(batch, np.tile(single, (10, 1)), atol=1e-6)
def predict(index):
    return classifier.predict(images[index % 16][None])[0]
with ThreadPoolExecutor(8) as pool:
    for index, row in enumerate(pool.map(predict, range(400))):
        np.testing.assert_array_equal(row, single[index % 16])
for wrong in (images[..., 0], images.astype(float), images[:0], images[0]):
    try:
        classifier.predict(wrong)
    except ValueError as error:
        assert "expected uint8 of shape (N, 28, 28, 1)" in str(error)
    else:
        raise SystemExit("it accepted a wrong input")
"""
    done = run("python", "-c", code, archive)
    assert done.returncode == 0, done.stderr


def test_tflite_runtime_may_crash_and_the_program_goes_on(
    devices: dict[str, Path], archive: Path
) -> None:
    code = """
import dataclasses, os, signal, sys
import numpy as np
from serving import Bundle, Classifier, RuntimeRefusalError
from serving.subprocess_runtime import SubprocessModel
bundle = Bundle(sys.argv[1])
classifier = Classifier.load(bundle)
image = np.zeros((1, 28, 28, 1), np.uint8)
before = classifier.predict(image)
for _ in range(3):
    os.kill(classifier._probabilities.__self__._child._process.pid, signal.SIGKILL)
    assert (classifier.predict(image) == before).all()

# With another number of classes no child can answer.
other = dataclasses.replace(bundle.card, class_names=bundle.card.class_names[:3])
model = SubprocessModel("tflite_runtime", bundle.read("tflite_float32.tflite"), other)
try:
    raise SystemExit(model.probabilities(image))
except RuntimeRefusalError as error:
    assert "died with exit status 1" in str(error), error

data, reasons = bundle.read("tflite_float32.tflite"), []
for seed in range(12):
    rng = np.random.default_rng(seed)
    damaged = bytearray(data[: len(data) // 2] if seed == 0 else data)  # unseen by checksums
    for place in rng.integers(0, 4000, 20) if seed else ():
        damaged[-place - 1] ^= int(rng.integers(1, 256))
    try:
        SubprocessModel("tflite_runtime", bytes(damaged), bundle.card).probabilities(image)
    except RuntimeRefusalError as error:
        reasons.append(str(error))
print(sum("died with signal 11" in reason for reason in reasons), len(reasons))
"""
    done = call(devices["tflite_runtime"] / "python", "-c", code, archive)
    assert done.returncode == 0, done.stderr
    died, refused = map(int, done.stdout.split())
    assert 1 <= died <= refused


def test_an_interrupted_prediction_leaves_no_answer_for_the_next(
    devices: dict[str, Path], archive: Path
) -> None:
    code = """
import signal, sys
import numpy as np
from serving import Classifier
classifier = Classifier.load(sys.argv[1])
images = np.random.default_rng(0).integers(0, 256, (4000, 28, 28, 1)).astype(np.uint8)
expected = [classifier.predict(images[place : place + 1]) for place in range(5)]
interrupted = 0
signal.signal(signal.SIGALRM, signal.default_int_handler)  # what Ctrl-C does
for milliseconds in (1, 3, 10, 30):
    try:
        signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
        classifier.predict(images)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
    for place in range(5):
        assert (classifier.predict(images[place : place + 1]) == expected[place]).all(), place
assert interrupted >= 3, interrupted
"""
    done = call(devices["tflite_runtime"] / "python", "-c", code, archive)
    assert done.returncode == 0, done.stderr


def test_onnxruntime_tells_nobody_what_runs_where(archive: Path, tmp_path: Path) -> None:
    """It would make an id of the device and a queue of events below the home folder."""
    telling = {key: value for key, value in os.environ.items() if key not in SILENCING}
    command = [sys.executable, "-m", "serving", "check", str(archive), "--runtime", "onnxruntime"]
    subprocess.run(command, cwd=ROOT, env={**telling, "HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.iterdir())
