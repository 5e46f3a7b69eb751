"""Ctrl-C, or the signal by which a cluster ends a job: the step is finished first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interrupts:
    """Within it, a first Ctrl-C (or SIGTERM) only asks to stop; a second Ctrl-C stops at once.

    A second SIGTERM does not: a scheduler and the launcher may each send one, and whoever is out of patience sends SIGKILL.

    `raise_if_asked` between two steps raises the KeyboardInterrupt that was held back. Outside the main thread nothing
    is changed, because Python tells only that one of signals.
    """

    def __enter__(self) -> Self:
        self.asked = False
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

    def raise_if_asked(self) -> None:
        """Raise the KeyboardInterrupt that was held back, if there is one."""
        if self.asked:
            raise KeyboardInterrupt
