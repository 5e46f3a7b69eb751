"""Two processes (gloo, on this machine) pretrain as one does, from the command line."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

STORIES = Path(__file__).parents[2] / "data" / "stories_en" / "dev.txt"
OPTIONS = [
    "-m", "course_lib", "pretrain", "--corpus", str(STORIES), "--config", "tiny", "--vocabulary", "400", "--pairs", "--dropout",
    "0", "--length", "24", "--batch-tokens", "300", "--steps", "5", "--evaluate-every", "2", "--hold-out", "0.3", "--accumulate",
    "2", "--precision", "float32", "--probe", "the [MASK] is here.",
]  # fmt: skip


def launch(output: Path, *launcher: str) -> dict:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *launcher, *OPTIONS, "--output", str(output)],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return {
        "card": json.loads((output / "pretraining.json").read_text(encoding="utf-8")),
        "history": list(csv.DictReader((output / "history.csv").read_text(encoding="utf-8").splitlines())),
        "weights": load_file(output / "model.safetensors"),
        "probes": (output / "probes.jsonl").read_text(encoding="utf-8").splitlines(),
    }


@pytest.mark.slow
def test_two_processes_pretrain_as_one(tmp_path) -> None:
    one = launch(tmp_path / "one")
    two = launch(tmp_path / "two", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    assert one["card"]["train"] == two["card"]["train"]
    assert [row["step"] for row in one["history"]] == [row["step"] for row in two["history"]]
    for mine, theirs in zip(one["history"], two["history"], strict=True):
        for name in ("train_loss", "dev_loss", "dev_word_loss"):
            assert float(mine[name]) == pytest.approx(float(theirs[name]), abs=1e-4), name
    for name, weight in one["weights"].items():
        assert (weight - two["weights"][name]).abs().max() < 1e-4, name
    assert len(one["probes"]) == len(two["probes"])  # written once
