"""Integer-only C99 from a full-integer TensorFlow Lite file: no float, no heap, no library.

The arithmetic is that of TensorFlow Lite Micro's reference kernels. Outputs and inner tensors equal
theirs, byte for byte; tests/test_integer_c.py compares them layer by layer.

    network                    reads the file
    scaling                    real factors as integer multipliers and shifts
    convert, layer             an operator as a layer: calls of the C functions in `layers/`
    weighted, unweighted       the constants of each kind of layer
    sigmoid, hard_swish        functions of a value as tables
    answers                    the outputs that are an answer
    storage, memory            where each tensor lies in the arena
    emission                   the C text
"""

from pipeline.embedded._integer_c.emission import Code, translate

__all__ = ["Code", "translate"]
