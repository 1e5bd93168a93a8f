"""operators.h: the operators of a model as the resolver of TensorFlow Lite Micro spells them."""

from __future__ import annotations

import re

import tflite

from pipeline.embedded import _kernel_memory

# Operators whose spelling in the resolver does not follow the rule in `method`.
METHODS = {"PADV2": "PadV2", "CUMSUM": "CumSum"}


def operator_names(network: tflite.Model) -> list[str]:
    """The distinct operators of the model, sorted: CONV_2D, ..."""
    return sorted(
        {
            _kernel_memory.operator_name(network.OperatorCodes(index))
            for index in range(network.OperatorCodesLength())
        }
    )


def method(operator: str) -> str:
    """The operator as MicroMutableOpResolver spells it: CONV_2D is Conv2D."""
    camel_case = "".join(part.capitalize() for part in operator.split("_"))
    return METHODS.get(operator) or re.sub(r"(\d)d$", r"\1D", camel_case)


def text(operators: list[str]) -> str:
    """operators.h: a resolver with only these operators, which keeps all others out of flash."""
    added = " &&\n           ".join(
        f"operators.Add{method(operator)}() == kTfLiteOk" for operator in operators
    )
    return (
        "/* Only the operators that the model uses. */\n"
        "#ifndef OPERATORS_H\n"
        "#define OPERATORS_H\n\n"
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n\n'
        f"using Operators = tflite::MicroMutableOpResolver<{len(operators)}>;\n\n"
        "inline bool add_operators(Operators &operators)\n"
        "{\n"
        f"    return {added};\n"
        "}\n\n"
        "#endif\n"
    )
