"""Stage 8: every exported file on every runtime and processor, against the Keras model, image by image.

    python -m pipeline.verify

Reads: exported/, evaluation/{test_probabilities.npy,validation.npz}, data/prepared/{test,validation}.
Writes: evaluation/golden.npz, reports/verify.json.
Every pair of file and runtime is tried and gets a verdict; `package` tells which of them stop the line.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.progress import Progress

from pipeline.bundle import golden
from pipeline.bundle.golden import Golden
from pipeline.config import params
from pipeline.config.params import Params
from pipeline.files import artifacts, atomic, timing_cache
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.runtimes import environments
from pipeline.verification import emulated, material, pair
from pipeline.verification.emulated import EmulatedRuntime
from pipeline.verification.material import Material
from pipeline.verification.native import NativePair
from pipeline.verification.pair import Pair
from serving import gate


def exported_files() -> dict[str, Path]:
    """The files that export wrote, each checked against its checksum. Raises UserError."""
    report = artifacts.load_json(artifacts.report("export"))
    entries = {name: entry for name, entry in report["formats"].items() if "file" in entry}
    files = {name: artifacts.EXPORTED / entry["file"] for name, entry in entries.items()}
    for name, file in files.items():
        if artifacts.sha256(file) != entries[name]["sha256"]:
            raise UserError(
                f"{file} is not the file that export wrote (its SHA-256 differs); run `dvc repro export`"
            )
    return files


def environment(runtime: str) -> Path | str:
    try:
        return environments.python(runtime)
    except OSError as error:
        return f"{error}; run `make env` where packages can be reached"


def here(
    pairs: Sequence[Pair], seen: Material, chosen: Params, folder: Path, progress: Progress
) -> None:
    """Tries the pairs of this processor, as many at a time as there are cores, and times them one by one, with the machine at rest."""
    task = progress.add_task("on this processor", total=2 * len(pairs))
    pythons = {runtime: environment(runtime) for runtime in {each.runtime for each in pairs}}
    natives = [NativePair(each, pythons[each.runtime]) for each in pairs]
    with ExitStack() as stack, ThreadPoolExecutor(os.cpu_count()) as pool:
        for native in natives:
            stack.callback(native.close)
        for _ in pool.map(lambda native: native.run(seen, chosen, folder), natives):
            progress.advance(task)
        for native in natives:
            native.time(chosen.verify.latency_runs)
            progress.advance(task)


def there(
    groups: Sequence[list[Pair]], seen: Material, chosen: Params, folder: Path, progress: Progress
) -> None:
    """Has the pairs of emulated processors answer; remembers how long that took."""
    task = progress.add_task("on emulated processors", total=len(groups))
    pythons = {runtime: environment(runtime) for runtime in {group[0].runtime for group in groups}}
    runtimes = [EmulatedRuntime(group, pythons[group[0].runtime]) for group in groups]
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda runtime: runtime.run(seen, chosen, folder), runtimes):
            progress.advance(task)
    seconds = time.perf_counter() - started
    timing_cache.remember("emulated-processors", {"seconds": seconds})


def choose_golden(seen: Material, pairs: Sequence[Pair]) -> Golden:
    """With what the files answered here; of several runtimes, the first that answered."""
    images, labels = (part[: seen.golden_tests] for part in artifacts.load_split("test"))
    answered: dict[str, artifacts.Array] = {}
    for each in pairs:
        if each.probabilities is not None and not each.micro:
            answered.setdefault(each.format, each.probabilities)
    return golden.choose(
        images, labels, seen.reference[: seen.golden_tests], answered, seen.synthetic
    )


def same_file_here(each: Pair, natives: Sequence[Pair]) -> Pair | None:
    """The pair on this processor that an emulated one is judged by: of its runtime, or else the worst that saw all images."""
    answered = [
        native
        for native in natives
        if native.format == each.format and native.probabilities is not None and not native.micro
    ]
    same = [native for native in answered if native.runtime == each.runtime]
    return max(
        same or answered,
        key=lambda native: gate.VERDICTS.index(native.facts["state"]),
        default=None,
    )


def save(vectors: Golden, seen: Material, pairs: Sequence[Pair]) -> None:
    """Writes the outs, and prints the verdicts."""
    arrays = {"images": vectors.images, "labels": vectors.labels, **vectors.probabilities}
    with atomic.replacing(artifacts.GOLDEN) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    model = artifacts.sha256(artifacts.MODEL)
    report = {
        "model_sha256": model,
        "judged_on": seen.split,
        "pairs": [each.facts for each in pairs],
    }
    artifacts.save_json(artifacts.report("verify"), report)
    for each in pairs:
        print(f"{each.name}: {each.facts['state']}{told(each)}")


def told(each: Pair) -> str:
    """What stands behind a verdict, for the terminal."""
    facts = each.facts
    if "reason" in facts:
        return f": {facts['reason']}"
    if "golden_difference" in facts:
        return f": as here, within {facts['golden_difference']:.1g}"
    return f": loses at most {100 * facts['accuracy_lost_bound']:.2f} %"


def main() -> None:
    chosen = params.load()
    files = exported_files()
    natives, groups = pair.native(files, chosen), pair.emulated(files, chosen)
    with tempfile.TemporaryDirectory() as name, Progress(transient=True) as progress:
        folder = Path(name)
        seen = material.gather(chosen, folder)
        here(natives, seen, chosen, folder, progress)
        vectors = choose_golden(seen, natives)
        np.save(folder / "telling.npy", vectors.telling)
        if groups:
            there(groups, seen, chosen, folder, progress)
    elsewhere = [each for group in groups for each in group]
    for each in elsewhere:
        if each.probabilities is not None:
            emulated.judge(each, seen, chosen, vectors, same_file_here(each, natives))
    save(vectors, seen, [*natives, *elsewhere])


if __name__ == "__main__":
    stage.run(main)
