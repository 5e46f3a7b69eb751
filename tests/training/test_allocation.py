"""Memory that is freed and asked for again: the same pages within, given back afterwards."""

import json
import subprocess
import sys

import pytest

from course_lib.training import allocation
from course_lib.training.allocation import freed_memory_kept

_SCRIPT = """
import json, resource
import psutil
from course_lib.training.allocation import freed_memory_kept
import torch

SIZES = [50_000_000, 40_000, 9_000_000]  # bytes: of the gradient of a table, of a vector, of a matrix

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        tensors = [torch.full((size // 4,), 1.0) for size in SIZES]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return psutil.Process().memory_info().rss

faults()
found = {"before": faults(), "held_before": held()}
with freed_memory_kept():
    faults()  # what it gets once
    found |= {"within": faults(), "held_within": held()}
found["held_after"] = held()
print(json.dumps(found))
"""

glibc = pytest.mark.skipif(allocation._glibc() is None, reason="malloc is not glibc's")


@glibc
def test_what_a_step_has_freed_the_next_one_finds() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["within"] * 10 < found["before"], found  # a page that is there interrupts nobody
    assert found["held_after"] < found["held_within"] - 30_000_000, found  # the system has it back


@glibc
def test_it_ends_with_an_error_too(monkeypatch) -> None:
    class Library:
        def __init__(self) -> None:
            self.set = {}
            self.trimmed = 0

        def mallopt(self, name, value):
            self.set[name] = value

        def malloc_trim(self, pad):
            self.trimmed += 1

    library = Library()
    monkeypatch.setattr(allocation, "_glibc", lambda: library)
    with pytest.raises(KeyboardInterrupt), freed_memory_kept():
        assert library.set[-3] > 2**25 and not library.trimmed
        raise KeyboardInterrupt
    assert library.set == {-1: 2**26, -2: 2**17, -3: 2**25} and library.trimmed == 1


def test_another_allocator_is_left_alone(monkeypatch) -> None:
    monkeypatch.setattr(allocation.sys, "platform", "win32")
    assert allocation._glibc() is None
    with freed_memory_kept():
        pass
