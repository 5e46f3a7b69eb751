import json
import subprocess
import sys

import pytest

from benchmarks.__main__ import NAMES
from benchmarks.record import RESULTS
from course_lib.notebooks import ROOT


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_result_says_where_when_and_how_it_was_measured(name: str) -> None:
    kept = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert kept["command"] == f"python -m benchmarks {name}"
    assert kept["machine"] and kept["date"] and kept["versions"]["torch"]


def test_the_kept_results_keep_what_the_course_promises() -> None:
    startup = json.loads((RESULTS / "startup.json").read_text(encoding="utf-8"))
    assert startup["added_milliseconds"]["course_lib"] < 50


def test_results_without_a_benchmark_are_not_kept() -> None:
    assert {path.stem for path in RESULTS.glob("*.json")} == set(NAMES)


def test_an_unknown_benchmark_is_named_with_those_that_exist() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "poling"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "There is no benchmark poling; there are startup, pooling, poolings, headlines, bert, lengths, memory, encode, "
        "shapes, preflight.\n"
    )
