"""Which int8 outputs are an answer, from the probabilities of the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.embedded._integer_c.network import Tensor
from pipeline.process.errors import UserError

# What no output does, and the cure
ANY = "it would reject every input", "verify the file again"
LABEL = "it would never give one of the labels", "remove the target from embed.targets"


@dataclass(frozen=True)
class Answers:
    """The least output of an answer, None if every output is one; and that of each label."""

    accept_from: int | None
    holds_from: tuple[int, ...] | None

    @classmethod
    def of(
        cls, output: Tensor, accept_from: float | None, holds_from: Sequence[float] | None
    ) -> Answers:
        """Raises UserError if no output is an answer."""
        if holds_from is None:
            return cls(least_accepted(output, accept_from), None)
        lowest = int(np.iinfo(output.dtype).min)
        least = [least_accepted(output, probability, LABEL) for probability in holds_from]
        return cls(None, tuple(lowest if value is None else value for value in least))

    @property
    def definitions(self) -> str:
        """What network.h says of them."""
        text = ""
        if self.accept_from is not None:
            text += (
                "/* The least output that is an answer; below it, the input is none of the "
                "classes. */\n"
                f"#define NETWORK_ACCEPT_FROM ({self.accept_from})\n\n"
            )
        if self.holds_from is not None:
            text += (
                "/* The least output with which each label holds; any number of them may. */\n"
                f"#define NETWORK_HOLDS_FROM {{{', '.join(map(str, self.holds_from))}}}\n\n"
            )
        return text


def least_accepted(
    output: Tensor, accept_from: float | None, fault: tuple[str, str] = ANY
) -> int | None:
    """The least output that stands for `accept_from` or more; None if every output does.

    Compared in float32, in which every runtime gives its probabilities. Raises UserError with the
    `fault` if no output does.
    """
    if accept_from is None:
        return None
    limits = np.iinfo(output.dtype)
    outputs = np.arange(limits.min, limits.max + 1)
    probabilities = output.scale * (outputs - output.zero_point).astype(np.float32)
    accepted = outputs[probabilities >= np.float32(accept_from)]
    if not len(accepted):
        what, cure = fault
        raise UserError(
            f"{what}: its threshold is {accept_from:g}, and the largest probability that the "
            f"file can give is {probabilities.max():g}; {cure}"
        )
    return int(accepted[0]) if accepted[0] > limits.min else None
