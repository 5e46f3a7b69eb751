"""The suite on two processes: `make test` gives pytest -n 2 --dist loadgroup."""

from __future__ import annotations

import os

import pytest

_APART = ("test_committed.py",)  # each notebook's run by itself, on whichever process is free

if "PYTEST_XDIST_WORKER" in os.environ:
    # Two processes with all cores each would wait for each other; what they start, notebooks' kernels too, inherits this.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the tests of a file on one process, because they share fixtures that take long to make."""
    marks: dict[str, set[str]] = {}
    for item in items:
        marks.setdefault(str(item.path), set()).update(mark.name for mark in item.iter_markers())
        if item.path.name not in _APART:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
    items.sort(key=lambda item: ("browser" not in marks[str(item.path)], "slow" not in marks[str(item.path)]))
