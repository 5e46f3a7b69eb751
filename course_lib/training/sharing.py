"""Which rows of a batch a process takes, where several train one model together.

Every process goes through the same batches and takes every P-th row of each, so the batches, and with a loss that counts
items the gradients too, are those of one process. What the processes say to each other is accelerate's business.

Random numbers are of two kinds then. Those that make the batches are the same in every process. Those that a model draws
in a step, for dropout, are each process's own: else the same places would be dropped in different rows.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from course_lib.devices import chosen_device
from course_lib.errors import TrainingError
from course_lib.training.losses import Batch
from course_lib.training.seeds import random_state, set_random_state

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Part:
    """One process's rows of a batch. Where there are fewer rows than processes, a row that does not count: size 0."""

    batch: Batch
    size: int


@dataclass(frozen=True)
class Share:
    """Process `process` of `processes`."""

    process: int = 0
    processes: int = 1

    def rows(self, batch: Batch) -> Part:
        """Rows process, process + processes, ... of a batch, (B, ...) -> (about B / processes, ...)."""
        if self.processes == 1:
            return Part(batch, len(next(iter(batch.values()))))
        part = {name: value[self.process :: self.processes] for name, value in batch.items()}
        size = len(next(iter(part.values())))
        if size == 0:  # every process must take part in a step
            return Part({name: value[:1] for name, value in batch.items()}, 0)
        return Part(part, size)

    def collect(
        self, total: Tensor, items: Tensor, rows: int, found: dict[str, list[Tensor]]
    ) -> tuple[Tensor, Tensor, int, dict[str, list[Tensor]]]:
        """The sums of all processes, and their rows in the order of the batches."""
        if self.processes == 1:
            return total, items, rows, found
        from accelerate.utils import gather_object

        everyone = gather_object([(total, items, rows, found)])
        joined = {
            name: [_interleave(parts) for parts in zip(*(one[3][name] for one in everyone), strict=True)]
            for name in found
        }
        totals, counts, numbers, _ = zip(*everyone, strict=True)
        return torch.stack(totals).sum(dim=0), torch.stack(counts).sum(dim=0), sum(numbers), joined


def _interleave(parts: tuple[Tensor, ...]) -> Tensor:
    whole = parts[0].new_empty((sum(map(len, parts)), *parts[0].shape[1:]))
    for process, part in enumerate(parts):
        whole[process :: len(parts)] = part
    return whole


alone = Share()


def accelerator() -> Accelerator:
    """What connects the processes of this run; for a single one it leaves everything where it is."""
    from accelerate import Accelerator

    # Without graphics cards that can talk to each other (Apple's cannot) accelerate must be told that the processors are
    # meant, or each process trains for itself.
    return Accelerator(device_placement=False, cpu=not is_alone() and chosen_device().type in ("cpu", "mps"))


def is_sharded(connection: Accelerator | None = None) -> bool:
    """Does each process have a part of the weights (FSDP), and not all of them?

    Raises:
        TrainingError: FSDP of version 1, whose parameters are no longer those that the optimiser's groups name; or with
            accelerate's own recomputing of layers.
    """
    from accelerate import DistributedType

    connection = accelerator() if connection is None else connection
    if connection.distributed_type != DistributedType.FSDP:
        return False
    if not connection.is_fsdp2:
        raise TrainingError(
            "accelerate is configured for FSDP of version 1, and here parameters have groups of their own, which version "
            "2 keeps: give --fsdp_version 2, or fsdp_version: 2 in its configuration."
        )
    if connection.state.fsdp_plugin.activation_checkpointing:  # torch is told not to restore the random numbers
        raise TrainingError(
            "accelerate is configured to recompute layers (fsdp_activation_checkpointing), and would drop other places the "
            "second time: leave it out, and set model.bert.gradient_checkpointing = True."
        )
    return True


def copy_whole(sharded: nn.Module, whole: nn.Module) -> None:
    """Copy the weights of a model that is in parts into a whole one, in every process, one tensor after the other."""
    from torch.distributed.tensor import DTensor

    pairs = [
        *zip(sharded.parameters(), whole.parameters(), strict=True),
        *zip(sharded.buffers(), whole.buffers(), strict=True),
    ]
    with torch.no_grad():
        for part, value in pairs:
            if isinstance(part, DTensor):
                part = part.to(part.device_mesh.device_type).full_tensor()
            value.copy_(part)


def sum_over_processes(share: Share, *values: float) -> tuple[float, ...]:
    """The sum of each number over all processes, the same on each."""
    if share.processes == 1:
        return values
    from accelerate import PartialState
    from accelerate.utils import reduce

    return tuple(
        reduce(torch.tensor(values, dtype=torch.float64, device=PartialState().device), reduction="sum").tolist()
    )


def same_random_numbers(share: Share) -> None:
    """Begin all processes with the random numbers of the first, for they draw the order of the batches alike."""
    if share.processes == 1:
        return
    from accelerate.utils import broadcast_object_list

    state = [random_state()]
    broadcast_object_list(state)
    set_random_state(state[0])


@contextlib.contextmanager
def own_random_numbers(share: Share, device: torch.device) -> Iterator[None]:
    """Within it, torch draws numbers that no other process draws; afterwards those that all draw go on.

    All processes draw a seed for each, and take their own: a checkpoint has to keep nothing more. A single process draws
    on as it does.
    """
    if share.processes == 1:
        yield
        return
    seed = int(torch.randint(2**63 - 1, (share.processes,))[share.process])
    cards = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(cards, device_type=device.type):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a millisecond where there is no card
        if cards:
            torch.get_device_module(device).manual_seed(seed)
        yield


def on_accelerator(model: nn.Module) -> nn.Module:
    """The model on the graphics card, where there is one (`chosen_device`) and this process trains alone.

    Several processes find their own cards in `training.fit`.
    """
    return model.to(chosen_device()) if is_alone() else model


def is_main_process() -> bool:
    """Is this the process that writes files? A single one is."""
    return int(os.environ.get("RANK", "0")) == 0


def is_alone() -> bool:
    """Is this the only process of the run?"""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1
