"""Memory that a step has freed stays with the process until the training is over.

A step frees hundreds of tensors, and the next one asks for as many again. The allocator of Linux (glibc's malloc) gives
large ones back to the system at once, and the system hands out other pages, empties each, and interrupts the process at
its first touch: two million times in a minute of fine-tuning the embedded model on two cores, less than a third of that
where malloc keeps what was freed. The price is memory that is free and in pieces: some per cent of what training adds.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from typing import Any

# glibc's malloc.h, and mallopt(3) for what they mean
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MIB = 2**20
_KEEPING = {_MMAP_THRESHOLD: 1024 * _MIB, _TRIM_THRESHOLD: 2048 * _MIB - 1, _TOP_PAD: 64 * _MIB}
_USUAL = {_MMAP_THRESHOLD: 32 * _MIB, _TRIM_THRESHOLD: 64 * _MIB, _TOP_PAD: _MIB // 8}  # where malloc ends up by itself


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within it malloc keeps what is freed, for whoever asks next; at the end the system gets it back.

    It is a setting of the whole process. Where malloc is not glibc's (Windows, macOS, Alpine) nothing is changed.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    try:
        for name, value in _KEEPING.items():
            libc.mallopt(name, value)
        yield
    finally:
        for name, value in _USUAL.items():
            libc.mallopt(name, value)
        libc.malloc_trim(0)


def _glibc() -> Any:
    """The C library of this process if it is glibc, else None."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
