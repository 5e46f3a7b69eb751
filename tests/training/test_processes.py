"""Two processes (gloo, on this machine) train as one does: the same losses, the same weights, every example once."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("several.py")
LAUNCHERS = {
    "one": [sys.executable],
    "torchrun": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"],
}


def launch(folder: Path, launcher: str, steps: int = 0) -> list[dict]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(folder / "home")}
    done = subprocess.run(
        [*LAUNCHERS[launcher], str(SCRIPT), str(folder), str(steps)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("process-*.json"))]


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> dict:
    return launch(tmp_path_factory.mktemp("one"), "one")[0]


@pytest.fixture(scope="module")
def folder_of_two(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(folder_of_two) -> list[dict]:
    return launch(folder_of_two, "torchrun")


def close(a, b) -> bool:
    return np.allclose(np.array(a), np.array(b), atol=1e-5)


@pytest.mark.slow
def test_two_processes_have_the_losses_and_weights_of_one(one, two) -> None:
    assert one["processes"] == 1 and [process["processes"] for process in two] == [2, 2]
    for process in two:
        assert close(process["losses"], one["losses"])
        assert all(close(a, b) for a, b in zip(process["weights"], one["weights"], strict=True))
        assert two[0]["weights"] == process["weights"]


@pytest.mark.slow
def test_an_evaluation_by_two_is_in_the_order_of_the_examples(one, two) -> None:
    for process in two:
        assert close(process["logits_of_dev"], one["logits_of_dev"])
        assert [s.keys() for s in process["scores"]] == [s.keys() for s in one["scores"]]
        assert all(
            close(list(a.values()), list(b.values())) for a, b in zip(process["scores"], one["scores"], strict=True)
        )


@pytest.mark.slow
def test_every_example_comes_once_in_one_process_or_the_other(one, two) -> None:
    shared = Counter(two[0]["rows"]) + Counter(two[1]["rows"])
    assert shared == Counter(one["rows"])
    assert two[0]["rows"] and two[1]["rows"]


@pytest.mark.slow
def test_a_run_of_two_that_ended_early_goes_on_as_two(two, folder_of_two, tmp_path) -> None:
    """The same command again, after the first was cut off behind a checkpoint."""
    shutil.copytree(folder_of_two / "run", tmp_path / "run")
    for folder in sorted((tmp_path / "run" / "checkpoints").iterdir())[1:]:
        shutil.rmtree(folder)  # as if killed before the last one was written
    again = launch(tmp_path, "torchrun")
    assert again[0]["weights"] == two[0]["weights"] and again[0]["losses"] == two[0]["losses"]
