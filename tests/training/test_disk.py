"""A full disk is one sentence, whichever library met it, and nothing half written stays."""

import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import accelerate  # before its functions are replaced: it takes save_file with it when it is imported
import pytest
import safetensors
import safetensors.torch
import torch
from test_resuming import OPTIONS, run
from tiny import Tiny, batches, columns, dev_batches, same, weights

from course_lib.errors import TrainingError
from course_lib.training import disk, fit, save_model, set_seed

# What the libraries raise on a full disk, measured: Python's own files, safetensors (Rust), torch.save (C++), tokenizers.
ERRORS = {
    "python": OSError(errno.ENOSPC, "No space left on device"),
    "safetensors": safetensors.SafetensorError(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    ),
    "torch": RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 17344 vs 17236"),
    "tokenizers": Exception("No space left on device (os error 28)"),
}


def half_written(original, error, at):
    """The function, which from its call number `at` on writes half of its first file, and raises."""
    calls = [0]

    def call(*arguments, **options):
        calls[0] += 1
        if calls[0] < at:
            return original(*arguments, **options)
        place = next(Path(a) for a in arguments if isinstance(a, str | os.PathLike))
        (place / "half" if place.is_dir() else place).write_bytes(b"half")
        raise error

    return call


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


_WRITERS = {
    "python": "path.write_bytes(b'x' * 100_000)",
    "safetensors": "import torch, safetensors.torch; safetensors.torch.save_file({'a': torch.zeros(100_000)}, path)",
    "torch": "import torch; torch.save({'a': torch.zeros(100_000)}, path)",
    "tokenizers": "import course_lib.pretrained as p; p.load_tokenizer('embedded').backend_tokenizer.save(str(path))",
}
_SCRIPT = """
import resource, sys
from pathlib import Path
from course_lib.training import disk
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    {writer}
except Exception as error:
    print(type(error).__name__, disk.fault_of(error))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a limit for the size of files")
@pytest.mark.parametrize("writer", _WRITERS)
def test_what_the_libraries_really_raise_where_a_disk_takes_no_more_is_known(tmp_path, writer) -> None:
    script = _SCRIPT.format(writer=_WRITERS[writer])
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "file")], capture_output=True, text=True)
    assert ("Fault(said='torch.save could" if writer == "torch" else "Fault(said='File too large'") in done.stdout, done


@pytest.mark.parametrize("kind", ERRORS)
def test_a_full_disk_is_called_so(kind) -> None:
    with (
        pytest.raises(
            TrainingError, match=r"^It cannot be written to 'there': its disk is full \(.*\)\. Free some space"
        ),
        disk.writing("It", "there"),
    ):
        raise ERRORS[kind]


def test_any_other_error_goes_through() -> None:
    for error in (RuntimeError("a shape"), Exception("os error"), TrainingError("a sentence"), KeyboardInterrupt()):
        assert disk.fault_of(error) is None
        with pytest.raises(type(error)) as caught, disk.writing("The thing", "there"):
            raise error
        assert caught.value is error


def test_a_folder_without_permission_is_not_called_full() -> None:
    with pytest.raises(TrainingError) as caught, disk.writing("The thing", "there"):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert "cannot be written to 'there' (Permission denied). See to it that you may write there" in str(caught.value)
    assert "full" not in str(caught.value)


def test_an_error_of_several_processes_is_known_by_theirs() -> None:
    """torch.distributed.checkpoint, which writes a model that is in parts, raises what is not even an Exception."""
    from torch.distributed.checkpoint.api import CheckpointException

    error = CheckpointException("write", {1: (OSError(errno.ENOSPC, "No space left on device"), None)})
    with pytest.raises(TrainingError, match=r"its disk is full \(No space left on device\)"), disk.writing("It", "x"):
        raise error


def test_a_disk_that_takes_no_file_at_all_is_named_before_anything_is_trained(tmp_path, monkeypatch) -> None:
    def full(path, content):
        raise ERRORS["python"]

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TrainingError, match=r"^A file cannot be written to '.*': its disk is full .*Free some space"):
        fit(Tiny(), batches(), output=tmp_path, **OPTIONS)
    assert not files(tmp_path)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("at", [1, 3])
def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch, kind, at) -> None:
    with monkeypatch.context() as patch:
        full = half_written(accelerate.Accelerator.save_state, ERRORS[kind], at)
        patch.setattr(accelerate.Accelerator, "save_state", full)
        with pytest.raises(TrainingError) as caught:
            run(tmp_path)
    left = "the newest whole one is step-00000001" if at == 3 else "there is none yet"
    assert (
        f"The checkpoint of step {at - 1} cannot be written to '{tmp_path / 'checkpoints'}': its disk is full ("
        in str(caught.value)
    )
    assert left in str(caught.value) and "Free some space there, then go on with resume=True (--resume)" in str(
        caught.value
    )
    assert not [name for name in files(tmp_path) if "part" in name or "half" in name]
    assert not list(tmp_path.rglob("*.part"))
    if at == 3:  # else there is nothing to go on from
        assert same(weights(run(tmp_path, resume=True)[0]), weights(run(None)[0]))


@pytest.mark.parametrize("kind", ERRORS)
def test_the_best_model_is_whole_and_its_history_with_it(tmp_path, monkeypatch, kind) -> None:
    set_seed(7)
    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_model", half_written(safetensors.torch.save_model, ERRORS[kind], 2))
        with pytest.raises(TrainingError, match=r"^The model cannot be written to '.*': its disk is full .*--resume"):
            fit(Tiny(), batches(), dev_batches(), output=tmp_path, **OPTIONS)
    assert not list(tmp_path.rglob("*part"))
    safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert (tmp_path / "history.csv").read_text(encoding="utf-8").count("*") == 1


def test_a_history_that_cannot_be_written_is_named_and_the_old_one_stays(tmp_path, monkeypatch) -> None:
    real = Path.write_bytes

    def full(path, content):
        if path.name.startswith("history.csv") and b"\n2," in content:
            real(path, content[:9])
            raise ERRORS["python"]
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    set_seed(7)
    with pytest.raises(TrainingError, match=r"^The history cannot be written to '.*history\.csv': its disk is full"):
        fit(Tiny(), batches(), dev_batches(), output=tmp_path, **OPTIONS)
    assert not list(tmp_path.rglob("*.part"))
    assert len((tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()) == 2  # of the first epoch


@pytest.mark.parametrize("kind", ERRORS)
def test_a_bad_batch_that_cannot_be_saved_does_not_hide_what_happened(tmp_path, monkeypatch, kind) -> None:
    bad = [columns(), {**columns(), "x": torch.full((23, 5), torch.nan)}]
    monkeypatch.setattr(safetensors.torch, "save_file", half_written(safetensors.torch.save_file, ERRORS[kind], 1))
    with pytest.raises(TrainingError, match=r"^The loss is nan at step 2.*The batch cannot be written .*disk is full"):
        fit(Tiny(), bad, output=tmp_path, epochs=1)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("bad-batch")]


def test_a_history_that_cannot_be_written_does_not_hide_what_happened(tmp_path, monkeypatch) -> None:
    model = Tiny()
    model.linear.weight.register_hook(lambda grad: grad * math.inf)
    real = Path.write_bytes

    def full(path, content):
        if path.name.startswith("history.csv"):
            raise ERRORS["python"]
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        TrainingError, match=r"^The loss on dev is nan after epoch 1; .* The history cannot be written to"
    ):
        fit(model, [columns()], [columns()], output=tmp_path, epochs=1)


def test_an_evaluation_that_ends_a_run_is_in_the_history(tmp_path) -> None:
    model = Tiny()
    model.linear.weight.register_hook(lambda grad: grad * math.inf)
    with pytest.raises(TrainingError, match=r"^The loss on dev is nan after epoch 1"):
        fit(model, [columns()], [columns()], output=tmp_path, epochs=1)
    header, row = (tmp_path / "history.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("epoch,step,train_loss,dev_loss") and "nan" in row and not row.endswith("*")


def test_a_second_ctrl_c_while_a_checkpoint_is_written_leaves_nothing_half(tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        full = half_written(accelerate.Accelerator.save_state, KeyboardInterrupt(), 3)
        patch.setattr(accelerate.Accelerator, "save_state", full)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    assert same(weights(run(tmp_path, resume=True)[0]), weights(run(None)[0]))


def test_a_model_of_ours_is_saved_whole_or_not_at_all(tmp_path, monkeypatch) -> None:
    from course_lib.bert import BertModel
    from course_lib.config import BertConfig

    model = BertModel(BertConfig(vocab_size=31, hidden_size=8, num_hidden_layers=1, num_attention_heads=2))
    save_model(model, tmp_path)
    before = files(tmp_path)
    full = half_written(safetensors.torch.save_file, ERRORS["safetensors"], 1)
    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(TrainingError, match=r"its disk is full .*Free some space there, or give another folder\."):
        save_model(model, tmp_path)
    assert files(tmp_path) == before and not list(tmp_path.rglob("*part"))


_BOARD = """
import resource, sys, threading
sys.path.insert(0, sys.argv[2])
from tiny import Tiny, batches, dev_batches
from course_lib.errors import TrainingError
from course_lib.training import TensorBoard, fit

hook = threading.excepthook
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
board = TensorBoard(sys.argv[1])
step = board.step

def full_from_the_third(one):
    if one.step == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limit[1]))
    step(one)

board.step = full_from_the_third
try:
    fit(Tiny(), batches(), dev_batches(), epochs=3, watchers=[board])
except TrainingError as error:
    print("said:", error)
print("as before:", threading.excepthook is hook)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a limit for the size of files")
def test_a_full_disk_under_tensorboard_is_one_sentence_and_no_traceback_of_its_thread(tmp_path) -> None:
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", _BOARD, str(tmp_path), here], capture_output=True, text=True)
    assert "said: The event files of TensorBoard cannot be written to" in done.stdout, done
    assert "as before: True" in done.stdout and "Traceback" not in done.stderr, done.stderr
