"""The models of a training: fresh, to start from, with augmentation, and as it is saved."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import keras

from pipeline.config.params import Network, Train
from pipeline.process import ranks
from pipeline.process.errors import UserError
from pipeline.training import augmentation, distribution, keras_files
from pipeline.training.batches import Data
from pipeline.training.compatibility import check_input, output

# The first tensor makes TensorFlow look for GPUs, and say what it misses; an import is quiet. JAX
# would take a GPU, which belongs to a rank if there are several.
if keras.backend.backend() == "tensorflow":
    keras.ops.convert_to_tensor(0)


def build(params: Train, data: Data) -> keras.Model:
    """The architecture with fresh weights; its layers have the same names in every run."""
    keras.utils.clear_session()
    if ranks.joined():
        distribution.share_batches()
    keras.utils.set_random_seed(params.seed)
    module = importlib.import_module(f"pipeline.architectures.{params.architecture}")
    network = params.network.over(Network(output=output(params, data)))
    try:
        model: keras.Model = module.build(data.inputs, data.num_classes, network)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"architecture {params.architecture} does not fit inputs of shape {data.inputs.shape}: "
            f"{_reason(error)}"
        ) from None
    return model


def _reason(error: Exception) -> str:
    """Keras's message on one line, without colours and the dump of the arguments."""
    colourless = re.sub(r"\x1b\[\d+m", "", str(error))
    return " ".join(colourless.split("Arguments received")[0].split())


def start(params: Train, data: Data) -> keras.Model | None:
    """The model whose layers `train.weights` or `train.start_from` provides. Raises UserError."""
    file = Path(params.start_from) if params.starts_from_a_file else None
    if params.starts_from_a_backbone:
        module = importlib.import_module(f"pipeline.architectures.{params.architecture}")
        backbone: keras.Model = module.pretrained(data.inputs, params.network, file)
        return backbone
    return keras_files.load(file) if file else None


def with_augmentation(params: Train, model: keras.Model, data: Data) -> keras.Model:
    check_input(params, data)
    shape = data.inputs.shape
    inputs = keras.Input(shape, dtype=model.inputs[0].dtype)
    return keras.Sequential(
        [inputs, *augmentation.layers(params, shape), model],
        name="training",
    )


def inference_model(model: keras.Model, params: Train, data: Data) -> keras.Model:
    """The same model in float32, without the parts that only training needs."""
    weights = model.get_weights()
    keras.config.set_dtype_policy("float32")
    network = params.network.model_copy(update={"drop_connect": None})
    result = build(params.model_copy(update={"network": network}), data)
    result.set_weights(weights)
    return result
