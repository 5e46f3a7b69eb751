"""Two processes (gloo, on this machine) train as one does, whether each has the model or a part of it.

They are started twice: for all of `several.py`, until they are killed in the last of it; and again, to go on from there.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import several

from course_lib.errors import TrainingError
from course_lib.training.sharing import is_sharded

pytestmark = pytest.mark.slow
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]

Both = list[dict]  # what each of the two processes found


def launch(folder: Path, *ways: str, killed: bool = False) -> dict[str, Both]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(folder / "home")}
    done = subprocess.run(
        [*TORCHRUN, str(Path(several.__file__)), str(folder), *ways],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode != 0 and "SIGKILL" in done.stderr) if killed else done.returncode == 0, done.stderr[-3000:]
    written = {way: sorted(folder.glob(f"{way}-[01].json")) for way in ways}
    return {way: [json.loads(path.read_text(encoding="utf-8")) for path in paths] for way, paths in written.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(folder) -> dict[str, Both]:
    whole = ["plain", "one_row", "dropout", "interrupted", "loader", "diverged"]
    return launch(folder, *whole, "fsdp", "sharded", "sharded_dropout", "sharded_killed", killed=True)


@pytest.fixture(scope="module")
def again(two, folder, tmp_path_factory) -> dict[str, Both]:
    """The same commands, after a kill."""
    other = tmp_path_factory.mktemp("again")
    for way in ("plain", "sharded_killed"):
        shutil.copytree(folder / way, other / way)
    for checkpoint in sorted((other / "plain" / "checkpoints").iterdir())[1:]:
        shutil.rmtree(checkpoint)  # as if killed before the last one was written
    return launch(other, "plain", "fsdp", "sharded_again")


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> dict[str, dict]:
    """What this process finds, alone."""
    alone = tmp_path_factory.mktemp("one")
    return {way.__name__: way(alone) for way in (several.plain, several.one_row, several.loader, several.sharded)}


def close(a, b) -> bool:
    return np.allclose(np.array(a), np.array(b), atol=1e-5)


def all_close(a: list, b: list) -> bool:
    return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("way", ["plain", "one_row", "sharded"])
def test_two_processes_have_the_losses_the_scores_and_the_weights_of_one(one, two, way) -> None:
    assert len(two[way]) == 2
    for process in two[way]:
        assert close(process["losses"], one[way]["losses"])
        assert all_close(process["weights"], one[way]["weights"])
        assert process["weights"] == two[way][0]["weights"] and process["whole"]
        assert process["ends"] == one[way]["ends"]
        assert [s.keys() for s in process["scores"]] == [s.keys() for s in one[way]["scores"]]
        assert all_close([list(s.values()) for s in process["scores"]], [list(s.values()) for s in one[way]["scores"]])


@pytest.mark.parametrize("way", ["plain", "sharded"])
def test_an_evaluation_by_two_is_in_the_order_of_the_examples(one, two, way) -> None:
    for process in two[way]:
        assert close(process["logits_of_dev"], one[way]["logits_of_dev"])


@pytest.mark.parametrize("way", ["plain", "loader"])
def test_every_example_comes_once_in_one_process_or_the_other(one, two, way) -> None:
    """Also where a DataLoader shuffles, and each process had begun with other random numbers."""
    first, second = (process["rows"] for process in two[way])
    assert first and second
    assert Counter(first) + Counter(second) == Counter(one[way]["rows"])


def test_each_process_drops_other_places(two) -> None:
    first, second = (process["kept"] for process in two["dropout"])
    assert len(first) == len(second) == 9
    alike = [a == b for mine, theirs in zip(first, second, strict=True) for a, b in zip(mine, theirs, strict=False)]
    assert len(alike) >= 9 * 3 and sum(alike) < len(alike) / 3  # rows of five places: one in 32 by chance
    assert two["dropout"][0]["weights"] == two["dropout"][1]["weights"]


def test_where_one_process_is_asked_to_stop_all_stop_after_the_same_step_and_go_on_to_the_same_weights(two) -> None:
    for process, whole in zip(two["interrupted"], two["dropout"], strict=True):
        assert process["stopped"] == "step-00000005"
        assert process["kept"] == whole["kept"][5:]  # each its own places, as if nothing had happened
        assert process["weights"] == whole["weights"] and process["losses"] == whole["losses"]


def test_where_one_process_has_a_loss_that_is_no_number_all_are_told(two) -> None:
    assert all("The loss is nan at step 2" in process["said"] for process in two["diverged"])


def test_a_run_of_two_that_ended_early_goes_on_as_two(two, again) -> None:
    for before, after in zip(two["plain"], again["plain"], strict=True):
        assert after["weights"] == before["weights"] and after["losses"] == before["losses"]


# ------------------------------------------------------------------------------------------------ in parts: FSDP


def test_each_process_has_a_part_of_the_layers_and_together_all_of_them(two) -> None:
    (first, every), (second, _) = (process["held"] for process in two["sharded"])
    assert 0 < first < every and 0 < second < every and first + second == every


def test_the_model_of_a_run_in_parts_is_whole_tied_and_read_as_any_other(two) -> None:
    for process in two["sharded"]:
        assert process["tied"] and process["read"] == process["weights"]


def test_a_run_in_parts_that_was_killed_goes_on_to_the_same_weights(two, again) -> None:
    for before, after in zip(two["sharded_dropout"], again["sharded_again"], strict=True):
        assert before["passes"] > after["passes"] > 0
        assert after["weights"] == before["weights"] and after["losses"] == before["losses"]


@pytest.mark.parametrize(
    ("version", "recomputes", "words"),
    [(1, False, "give --fsdp_version 2"), (2, True, "would drop other places the second time: leave it out")],
)
def test_an_fsdp_that_would_train_something_else_is_refused(version, recomputes, words) -> None:
    from accelerate import DistributedType

    plugin = SimpleNamespace(fsdp_version=version, activation_checkpointing=recomputes)
    state = SimpleNamespace(fsdp_plugin=plugin)
    with pytest.raises(TrainingError, match=words):
        is_sharded(SimpleNamespace(distributed_type=DistributedType.FSDP, is_fsdp2=version == 2, state=state))
