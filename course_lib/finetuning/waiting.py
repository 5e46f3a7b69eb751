"""Inputs that come slowly, from a keyboard or another program: what is there is handed on, without waiting for more."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

_LOOK_UP = 0.2  # seconds after which a wait looks up: on Windows nothing else lets Ctrl-C through
_END = object()


def as_they_come(items: Iterable[Any], most: int) -> Iterator[list[Any]]:
    """Lists of at most so many items: the first is waited for, the others are those that are there already.

    A thread reads on meanwhile, at most `most` items ahead. An error of the items is raised after those before it.
    """
    waiting: queue.Queue[Any] = queue.Queue(most)
    stopped = threading.Event()
    errors: list[BaseException] = []

    def hand_on(item: Any) -> None:
        while not stopped.is_set():
            try:
                return waiting.put(item, timeout=_LOOK_UP)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for item in items:
                if stopped.is_set():
                    return
                hand_on(item)
        except BaseException as error:  # raised again where the items are used
            errors.append(error)
        hand_on(_END)

    threading.Thread(target=read, daemon=True).start()
    try:
        while (item := _next(waiting)) is not _END:
            chunk = [item]
            while len(chunk) < most and not waiting.empty() and (item := waiting.get()) is not _END:
                chunk.append(item)
            yield chunk
            if item is _END:
                break
        if errors:
            raise errors[0]
    finally:
        stopped.set()


def _next(waiting: queue.Queue[Any]) -> Any:
    while True:
        try:
            return waiting.get(timeout=_LOOK_UP)
        except queue.Empty:
            continue
