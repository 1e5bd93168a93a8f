"""Operators as layers. An operator that has no C here is refused by its name."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.embedded._integer_c import unweighted, weighted
from pipeline.embedded._integer_c.layer import Layer, only_int8
from pipeline.embedded._integer_c.network import INSTEAD, NORMALIZE, Network, Operator
from pipeline.process.errors import UserError

LAYERS: dict[str, Callable[[Operator], Layer]] = {
    "ADD": unweighted.addition,
    "AVERAGE_POOL_2D": unweighted.average_pooling,
    "CONCATENATION": unweighted.concatenation,
    "CONV_2D": weighted.convolution,
    "DEPTHWISE_CONV_2D": weighted.depthwise_convolution,
    "FULLY_CONNECTED": weighted.fully_connected,
    "HARD_SWISH": unweighted.hard_swish,
    "LOGISTIC": unweighted.logistic,
    "MAX_POOL_2D": unweighted.max_pooling,
    "MEAN": unweighted.mean,
    "MUL": unweighted.multiplication,
    "PAD": unweighted.padding,
    "QUANTIZE": unweighted.quantization,
    "RESHAPE": unweighted.reshape,
    "SOFTMAX": unweighted.softmax,
}
ALSO_UINT8 = ("QUANTIZE", "RESHAPE")


def layers(network: Network) -> list[Layer]:
    """The layers of a network in the order they run. Raises UserError."""
    return [layer(operator) for operator in network.operators]


def layer(operator: Operator) -> Layer:
    if operator.name == NORMALIZE:
        return unweighted.normalization(operator)
    if operator.name not in LAYERS:
        raise UserError(
            f"it has the operator {operator.name}; expected only {', '.join(LAYERS)}; {INSTEAD}"
        )
    if operator.name not in ALSO_UINT8:
        only_int8(operator)
    return LAYERS[operator.name](operator)
