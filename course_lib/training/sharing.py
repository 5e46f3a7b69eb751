"""Which rows of a batch a process takes, where several train one model together.

Every process goes through the same batches and takes every P-th row of each, so the batches, and with a loss that counts
items the gradients too, are those of one process. What the processes say to each other is accelerate's business.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from course_lib.training.losses import Batch

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

    # Without a graphics card accelerate must be told that the processors are meant, or each process trains for itself.
    return Accelerator(device_placement=False, cpu=not is_alone() and not torch.accelerator.is_available())


def sum_over_processes(share: Share, value: float) -> float:
    """The sum of one number over all processes, the same on each."""
    if share.processes == 1:
        return value
    from accelerate.utils import reduce

    return float(reduce(torch.tensor(value, dtype=torch.float64), reduction="sum"))


def is_main_process() -> bool:
    """Is this the process that writes files? A single one is."""
    return int(os.environ.get("RANK", "0")) == 0


def is_alone() -> bool:
    """Is this the only process of the run?"""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1
