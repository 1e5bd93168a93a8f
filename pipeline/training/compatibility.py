"""Whether the params of a training fit its data: the target, the kind of input, and the loss."""

from __future__ import annotations

from typing import Any

from pipeline.config.params import NONE, Train
from pipeline.config.parts import declared, is_number, one_class_each
from pipeline.files.artifacts import Inputs
from pipeline.process.errors import UserError
from pipeline.training import augmentation, class_metrics, keras_objects, turning
from pipeline.training.batches import Data
from pipeline.training.compilation import is_sparse
from pipeline.training.turning import RandomTurn


def output(params: Train, data: Data) -> Any:
    """The kind of output layer. Raises UserError if it, or the loss, does not fit the target."""
    target = declared("targets", data.target)
    layer = params.network.output or target["OUTPUTS"][0]
    loss = type(keras_objects.loss(params.loss)).__name__
    for key, value, expected in (
        ("train.network.output", layer, target["OUTPUTS"]),
        ("train.loss", loss, target["LOSSES"] or (loss,)),
    ):
        if value not in expected:
            raise UserError(
                f"{key} is {value}, and the dataset asks for {data.target}; "
                f"expected {' or '.join(expected)}"
            )
    if is_number(data.target):
        _check_number(params)
    if not one_class_each(data.target) and params.keep in class_metrics.KEEP:
        raise UserError(
            f"train.keep is {params.keep}, which is for one class of several, and the dataset asks "
            f"for {data.target}; expected validation_loss or last"
        )
    return layer


def _check_number(params: Train) -> None:
    """Raises UserError for values that a number does not fit."""
    if params.keep == "validation_accuracy":
        raise UserError(
            "train.keep is validation_accuracy, and a number has none; expected validation_loss or "
            "last"
        )
    if params.starts_from_a_file and params.start_layers == "all":
        raise UserError(
            "train.start_layers is all, and the output layer of a trained model gives a number in "
            "its unit, while a training works with standardized ones; expected hidden"
        )


def check_input(params: Train, data: Data) -> None:
    """Raises UserError for augmentation or outliers that the kind of input does not take."""
    kind = declared("inputs", data.kind)
    names = [item.class_name for item in augmentation.objects(params, data.inputs.shape)]
    own = {name: layer.KIND for name, layer in keras_objects.OWN.items()}
    suitable = [name for name, its_kind in own.items() if its_kind == data.kind]
    for name in names:
        if name not in suitable and (name in own or not kind["AUGMENTATION"]):
            noun = declared("inputs", own[name])["NOUN"] if name in own else "images"
            expected = [*(["layers for images"] if kind["AUGMENTATION"] else ["[]"]), *suitable]
            raise UserError(
                f"train.augmentation has {name}, which is for {noun}, and the dataset holds "
                f"{kind['NOUN']}; expected {' or '.join(expected)} with them"
            )
    if RandomTurn.__name__ in names:
        check_axes(data.inputs)
    check_outliers(params, data)


def check_axes(inputs: Inputs) -> None:
    """Raises UserError if the channels cannot be the axes of sensors."""
    if inputs.shape[-1] % turning.AXES:
        raise UserError(
            "train.augmentation has RandomTurn, which turns the axes of sensors, and the dataset "
            f"holds series of shape {inputs.shape}; expected channels that are axes in threes"
        )


def check_outliers(params: Train, data: Data) -> None:
    """Raises UserError if outliers cannot be added to such data, or with such a loss."""
    if not params.outliers and data.others is None:
        return
    key, none = ("train.outliers", "0") if params.outliers else ("dataset.other", NONE)
    kind = declared("inputs", data.kind)
    if not kind["IMAGES"] or not one_class_each(data.target):
        targets = "numbers" if is_number(data.target) else "several labels at once"
        raise UserError(
            f"{key} is for images of one class each, and the dataset holds "
            f"{targets if kind['IMAGES'] else kind['NOUN']}; expected {none} with them"
        )
    if is_sparse(keras_objects.loss(params.loss)):
        raise UserError(
            f"{key} adds pictures that belong to every class alike, and the loss takes "
            "one class; expected with it CategoricalCrossentropy, which is the same loss"
        )
