"""The suite on two processes: `make test` gives pytest -n 2 --dist loadgroup."""

from __future__ import annotations

import os

import pytest

_APART = ("test_committed.py",)  # each notebook's run by itself, on whichever process is free

if "PYTEST_XDIST_WORKER" in os.environ:
    # Two processes with all cores each would wait for each other; what they start, notebooks' kernels too, inherits this.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file stay on one process, because they share fixtures that take long to make."""
    for item in items:
        if item.path.name not in _APART:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
