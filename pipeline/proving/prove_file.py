"""Is a .tflite or .onnx file of somebody else as good as it says, on every runtime and processor?

    edgeproof prove model.tflite
    edgeproof prove saved_model
    edgeproof prove model.tflite --reference float.h5

The file runs as it is on the test images, on the runtimes and processors of `verify` in
params.yaml. It is compared with its reference, image by image; without one with itself on the
reference kernels of this processor, so that the verdict says whether the runtimes agree. Of a
SavedModel two files are made, in float32 and int8, and compared with what TensorFlow computes.

Reads: data/prepared. Writes: reports/prove.json; of a SavedModel also the files that are not
worse, in reports/proven.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipeline import inputs, targets
from pipeline.bundle import golden
from pipeline.config import params
from pipeline.config.overrides import parsed
from pipeline.config.own_model import SUFFIXES, OwnModel
from pipeline.config.params import Params
from pipeline.embedded._integer_c import Code
from pipeline.files import artifacts, split_files
from pipeline.files.artifacts import Array, Description
from pipeline.files.reports.prove import ComparedWith, FileReport
from pipeline.files.reports.train import Origin
from pipeline.formats import _saved_model_process
from pipeline.process import imports
from pipeline.process.errors import UserError
from pipeline.proving import foreign_model, foreign_pairs, integer_c, prove_report, saved_model
from pipeline.proving.foreign_model import ForeignModel
from pipeline.reporting import statistics
from pipeline.verification.material import Material, save_sample

with imports.keras_import():
    from pipeline.training import keras_files, own_model
    from pipeline.training.batches import Data

KERNELS = "reference kernels"
KINDS = ("float32", "int8")  # of the files that are made of a SavedModel
SECTIONS = ("model.", "export.", "verify.", "problem.")  # of params.yaml, which are read here


@dataclass(frozen=True)
class ProveOptions:
    """The arguments of the command."""

    file: Path
    reference: Path | None = None
    source: str | None = None
    overrides: Sequence[str] = ()
    validation: bool = False
    c: Path | None = None  # a folder for C


def prove(options: ProveOptions) -> bool:
    """Whether every pair has the verdict that verify.require asks for. Raises UserError."""
    settings = overridden(options.overrides)
    code = options.c and integer_c_for(options.file, options.c)
    with tempfile.TemporaryDirectory() as name:
        prepared = PreparedData.load(settings, Path(name))
        models = prepared.models(options)
        model = models[0]
        splits = ["test", "validation"] if options.validation else ["test"]
        reference, origin = prepared.reference(model, options, splits)
        material = prepared.material(splits, reference)
        # In the folder of each file, as outputs are named after runtimes.
        pairs = [
            pair
            for each in models
            for pair in foreign_pairs.run(each, material, settings, each.file.parent)
        ]
        images = [split_files.load_split(split)[0] for split in splits]
        c = code and integer_c.write(*code, model, np.concatenate(images))
        report = FileReport(
            origin=model.origin,
            compared_with=compared_with(material, origin),
            judged_on=material.judged_on,
            pairs=[prove_report.explained(pair.verdict) for pair in pairs],
            **({"c": c} if c else {}),
        )
        report.save()
        if options.file.is_dir():
            saved_model.keep([each.path for each in models], report)
    prove_report.show(report)
    return prove_report.passed(report, settings.verify.require)


def integer_c_for(file: Path, folder: Path) -> tuple[Path, Code]:
    """The folder and the C that goes into it. Raises UserError."""
    integer_c.check_folder(folder)
    return folder, integer_c.translate(file)


def overridden(overrides: Sequence[str]) -> Params:
    """params.yaml with these values. Raises UserError, also for one that other stages read."""
    values = parsed(overrides)
    for key in values:
        if not key.startswith(SECTIONS):
            raise UserError(
                f"-S {key} changes nothing here, as the data are prepared by params.yaml; expected "
                f"a key of {', '.join(section.rstrip('.') for section in SECTIONS)}, or change "
                "params.yaml"
            )
    return params.override(params.load(), values)


@dataclass(frozen=True)
class PreparedData:
    """The prepared data, and a folder for what the runtimes read and write."""

    settings: Params
    data: Data
    description: Description
    folder: Path

    @classmethod
    def load(cls, settings: Params, folder: Path) -> PreparedData:
        """Raises UserError unless the data are images of one class each."""
        description = artifacts.load_description()
        splits = split_files.load_split("train"), split_files.load_split("validation")
        data = Data.described(*splits, description)
        own_model.check_data(data)
        return cls(settings, data, description, folder)

    def named(self, path: Path, source: str | None = None) -> OwnModel:
        """The section `model` of params.yaml, as if it named this file, which it cannot."""
        return self.settings.model.model_copy(update={"path": str(path), "source": source})

    def take(self, name: str, path: Path, source: str | None = None) -> ForeignModel:
        print(f"how does {path} take pixels?", flush=True)
        named = self.named(path, source)
        return foreign_model.take(named, self.data, self.names, self.folder / name)

    @property
    def names(self) -> list[str]:
        return self.description.class_names

    def models(self, options: ProveOptions) -> list[ForeignModel]:
        """The file; of a SavedModel those that are made of it, in float32 and int8."""
        path = options.file
        if not path.is_dir():
            return [self.take("file", path, options.source)]
        files = [self.folder / f"{path.resolve().name}_{kind}.tflite" for kind in KINDS]
        print(f"{files[0].name} and {files[1].name} are made of {path}", flush=True)
        _saved_model_process.convert(path, files[0])
        model = self.take("float32", files[0], options.source)
        images = self.data.train[0]
        count = min(len(images), self.settings.export.calibration_images)
        examples = images[np.linspace(0, len(images) - 1, count).astype(int)]
        _saved_model_process.convert_int8(path, files[1], examples, model.adapter)
        return [model, saved_model.quantized(model, files[1], self.folder / "int8")]

    def reference(
        self, model: ForeignModel, options: ProveOptions, splits: Sequence[str]
    ) -> tuple[Array, Origin | None]:
        """The outputs (N, K) that the file is compared with, and where they are from."""
        path = options.file if options.file.is_dir() else options.reference
        if path is not None and path.is_dir():
            return self.by_tensorflow(path, None if path != options.file else model, splits)
        if path is not None and path.suffix in SUFFIXES:
            print(f"how does {path} take pixels?", flush=True)
            with imports.quiet():
                taken = own_model.take(self.named(path), self.data, self.names)
            predict = partial(keras_files.probabilities, taken.model)
            return self.outputs(predict, splits), taken.origin
        compared = model if path is None else self.take("reference", path)
        predict = partial(foreign_model.by_reference_kernels, compared)
        return self.outputs(predict, splits), None if path is None else compared.origin

    def by_tensorflow(
        self, path: Path, model: ForeignModel | None, splits: Sequence[str]
    ) -> tuple[Array, Origin]:
        """The same of a SavedModel; `model` is the float32 file of it, if there is one already."""
        if model is None:
            file = self.folder / f"{path.resolve().name}.tflite"
            _saved_model_process.convert(path, file)
            model = self.take("reference", file)
        predict = partial(_saved_model_process.probabilities, path, model.adapter)
        return self.outputs(predict, splits), saved_model.origin(path.resolve(), model.origin)

    def outputs(self, predict: Callable[[Array], Array], splits: Sequence[str]) -> Array:
        images = [split_files.load_split(split)[0] for split in splits]
        print(f"the reference on {sum(map(len, images)):,} images", flush=True)
        return np.concatenate([predict(part) for part in images])

    def material(self, splits: Sequence[str], reference: Array) -> Material:
        """As for verification, but without validation images unless they are asked for."""
        kind, target = inputs.kind(self.description.kind), targets.target(self.description.target)
        images, labels = split_files.load_split("test")
        examples = images[golden.spread_rows(target.strata(labels))[::2]]
        np.save(self.folder / "synthetic.npy", kind.synthetic(examples, self.description.range))
        checked = self.settings.verify
        largest = max(checked.micro_images, checked.processor_images)
        sample = save_sample(self.folder / "sample.npy", images, largest, self.settings)
        return Material(
            target=target,
            metric=self.settings.problem.metric,
            labels=np.concatenate([split_files.load_split(split)[1] for split in splits]),
            reference=reference,
            tests=len(labels),
            sample=sample,
            synthetic=np.load(self.folder / "synthetic.npy"),
            golden_tests=len(labels),
            unseen=[
                *[split_files.load_split(split)[0] for split in splits],
                artifacts.load_array(self.folder / "synthetic.npy"),
            ],
            sampled=self.folder / "sample.npy",
        )


def compared_with(material: Material, origin: Origin | None) -> ComparedWith:
    tests, labels = material.tests, material.labels[: material.tests]
    accuracy, interval = statistics.accuracy(material.reference[:tests].argmax(1), labels)
    name = KERNELS if origin is None else origin.file
    return ComparedWith(name=name, origin=origin, accuracy=accuracy, accuracy_interval=interval)
