"""Training on more examples than fit the memory: read from the stream a buffer at a time, each time through anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from torch import Tensor

BUFFER = 4096  # examples that are held, tokenised and sorted by length at once


class StreamedBatches:
    """Batches of a stream of examples; every example once each time through, no more than `buffer` of them held.

    Within a buffer the order is drawn and texts of one length come together, as in `PaddedBatches`; the buffers follow
    each other as the stream does. A file that is sorted by label should be shuffled once before.

    Its number of batches is not known beforehand, so a schedule needs the number of steps.

    Args:
        examples: can be gone through again and again, such as a part of `load_dataset(..., streaming=True)`.
        batches: from some examples and a seed (None: no shuffling) to their batches.
        shuffle: a seed, or None.
        buffer: examples.
    """

    def __init__(
        self,
        examples: Iterable[Any],
        batches: Callable[[list[Any], int | None], Iterable[Mapping[str, Tensor]]],
        shuffle: int | None,
        buffer: int = BUFFER,
    ) -> None:
        if buffer < 1:
            raise ValueError(f"buffer is {buffer}; at least 1 example is held.")
        self.examples, self.batches, self.shuffle, self.buffer = examples, batches, shuffle, buffer
        self._times = 0  # that the stream was begun

    def __iter__(self) -> Iterator[Mapping[str, Tensor]]:
        time, self._times = self._times, self._times + 1
        waiting = iter(self.examples)
        number = 0
        while held := list(islice(waiting, self.buffer)):
            # Another order in each buffer and each time through, the same ones for the same seed.
            seed = None if self.shuffle is None else hash((self.shuffle, time, number)) % 2**31
            yield from self.batches(held, seed)
            number += 1

    def state_dict(self) -> dict[str, Any]:
        """How often the stream was begun."""
        return {"times": self._times}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state_dict` was asked."""
        self._times = state["times"]
