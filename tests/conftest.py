"""The suite on two processes: `make test` gives pytest -n 2 --dist loadfile --no-loadscope-reorder."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

_APART = ("test_committed.py",)  # each notebook's run by itself, on whichever process is free

if "PYTEST_XDIST_WORKER" in os.environ:
    # Two processes with all cores each would wait for each other; what they start, notebooks' kernels too, inherits this.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no process ends with one of them while the other waits."""
    marks: dict[str, set[str]] = {}
    for item in items:
        marks.setdefault(str(item.path), set()).update(mark.name for mark in item.iter_markers())
    items.sort(key=lambda item: ("browser" not in marks[str(item.path)], "slow" not in marks[str(item.path)]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """The tests of a file on one process, because they share fixtures that take long to make; but for `_APART`.

    Not by the mark `xdist_group`: pytest 9.2 does not see the names that xdist 3.8 gives to marked tests.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return nodeid if PurePosixPath(file).name in _APART else file

    return ByFile(config, log)
