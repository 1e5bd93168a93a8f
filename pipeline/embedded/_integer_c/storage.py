"""Which memory each tensor of a network has: the caller's, an array of constants or the arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.embedded._integer_c import memory
from pipeline.embedded._integer_c.layer import Layer
from pipeline.embedded._integer_c.memory import Buffer
from pipeline.embedded._integer_c.network import INSTEAD, Network, Tensor
from pipeline.process.errors import UserError


@dataclass(frozen=True)
class Storage:
    """`owners` names, for each tensor, the one whose memory it has; `offsets` lie in the arena."""

    network: Network
    owners: dict[int, int]
    offsets: dict[int, int]
    arena_bytes: int
    least_arena_bytes: int  # what the busiest layer needs

    def address(self, tensor: Tensor) -> str:
        """The C expression for the first value of a tensor."""
        owner = self.owners.get(tensor.index, tensor.index)
        if tensor.values is not None:
            return constant(tensor)
        if owner == self.owners[self.network.output.index]:
            return "output"
        if owner == self.owners[self.network.input.index]:
            return "input"
        address = f"arena + {self.offsets[owner]}"
        return address if tensor.dtype == "int8" else f"(uint8_t *)({address})"

    def scratch(self, step: int) -> str:
        """The C expression for the scratch memory of a layer."""
        return f"memory + {self.offsets[scratch_name(step)] // memory.ALIGNMENT}"


def constant(tensor: Tensor) -> str:
    return f"constant_{tensor.index}"


def assign(network: Network, layers: Sequence[Layer]) -> Storage:
    """Gives every tensor its memory. Raises UserError if the network only passes its input on."""
    owners = shared(network, layers)
    external = {owners[network.input.index], owners[network.output.index]}
    if len(external) == 1:
        raise UserError(f"it has no layer that computes anything; {INSTEAD}")
    needed = buffers(layers, owners, external)
    planned = memory.plan(needed)
    return Storage(network, owners, planned.offsets, planned.size, memory.least(needed))


def shared(network: Network, layers: Sequence[Layer]) -> dict[int, int]:
    """The owner of each tensor's memory.

    A reshaped tensor has the memory of its input. So has an elementwise output whose input is not
    needed afterwards, unless that is the caller's.
    """
    owners = {network.input.index: network.input.index}
    for layer in layers:
        output, source = layer.operator.output.index, layer.operator.inputs[0].index
        owners[output] = output if layer.calls else owners[source]
    last = last_uses(layers, owners)
    external = {owners[network.input.index], owners[network.output.index]}
    for step, layer in enumerate(layers):
        output = owners[layer.operator.output.index]
        if not layer.elementwise or output in external:
            continue
        for tensor in layer.operator.variable:
            source = owners[tensor.index]
            whole = tensor.shape == layer.operator.output.shape
            if whole and last[source] == step and source not in external:
                owners = {
                    name: source if owner == output else owner for name, owner in owners.items()
                }
                last[source] = last[output]
                break
    return owners


def last_uses(layers: Sequence[Layer], owners: dict[int, int]) -> dict[int, int]:
    """The last step that uses the memory of each owner."""
    return {
        owners[tensor.index]: step
        for step, layer in enumerate(layers)
        for tensor in (layer.operator.output, *layer.operator.variable)
    }


def scratch_name(step: int) -> int:
    """The name of the scratch memory of a layer, unlike that of any tensor."""
    return -1 - step


def buffers(layers: Sequence[Layer], owners: dict[int, int], external: set[int]) -> list[Buffer]:
    """The memory that must lie in the arena, with the steps between which it is needed."""
    last = last_uses(layers, owners)
    first: dict[int, tuple[int, int]] = {}
    for step, layer in enumerate(layers):
        output = layer.operator.output
        first.setdefault(owners[output.index], (step, output.size))
    tensors = [
        Buffer(owner, memory.aligned(size), step, last[owner])
        for owner, (step, size) in first.items()
        if owner not in external
    ]
    scratch = [
        Buffer(scratch_name(step), layer.scratch, step, step)
        for step, layer in enumerate(layers)
        if layer.scratch
    ]
    return [*tensors, *scratch]
