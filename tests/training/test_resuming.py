"""A run that was cut off goes on to the very weights that it would have had, wherever it was cut off."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_model, save_model
from stopping import StopAt
from tiny import Tiny, batches, dev_batches, same, weights

from course_lib.errors import TrainingError
from course_lib.training import Watcher, checkpoints, fit, set_seed

OPTIONS = {"epochs": 3, "learning_rate": 0.05, "schedule": "linear", "warmup": 2, "clip": 1.0, "save_every": 1}


class Killed(BaseException):
    """What no part of the trainer catches, as a process that is gone catches nothing."""


class Fragile(Tiny):
    """A model that is killed at a certain forward pass."""

    def __init__(self, moment: int | None = None) -> None:
        super().__init__()
        self.passes, self.moment = 0, moment

    def forward(self, x, labels=None):
        self.passes += 1
        if self.passes == self.moment:
            raise Killed
        return super().forward(x, labels)


class Seen:
    """Batches that note which examples they gave."""

    def __init__(self) -> None:
        self.inner, self.labels = batches(), []

    def __len__(self):
        return len(self.inner)

    def __iter__(self):
        for batch in self.inner:
            self.labels.append(batch["x"][:, 0].tolist())
            yield batch

    def state_dict(self):
        return self.inner.state_dict()

    def load_state_dict(self, state):
        self.inner.load_state_dict(state)


def run(output: Path | None, moment: int | None = None, resume: bool = False, **changes):
    set_seed(7)
    model = Fragile(moment)
    if resume:  # a new process has other random numbers, and other weights than those of the checkpoint
        set_seed(99)
        model = Fragile(moment)
    options = {**OPTIONS, **changes} if output else {**OPTIONS, "save_every": None, **changes}
    return model, fit(model, batches(), dev_batches(), output=output, resume=resume, **options)


@pytest.fixture(scope="module")
def whole():
    return run(None)


# Of 21 forward passes (3 epochs of 4 steps and 3 dev batches): the first, within an epoch, its end, dev, the last.
@pytest.mark.parametrize("moment", [1, 2, 4, 5, 7, 8, 10, 13, 21])
def test_killed_in_any_forward_pass_it_goes_on_to_the_same_weights(tmp_path, whole, moment) -> None:
    with pytest.raises(Killed):
        run(tmp_path, moment)
    model, report = run(tmp_path, resume=True)
    assert same(weights(model), weights(whole[0]))
    assert report.steps == whole[1].steps
    assert [(r.step, r.train_loss, r.scores) for r in report.records] == [
        (r.step, r.train_loss, r.scores) for r in whole[1].records
    ]
    assert report.kept.step == whole[1].kept.step


@pytest.mark.parametrize("save_every", [None, 3])
@pytest.mark.parametrize("moment", [2, 6, 9, 13, 20])
def test_it_goes_on_from_the_last_checkpoint_whatever_was_done_since(tmp_path, whole, save_every, moment) -> None:
    with pytest.raises(Killed):
        run(tmp_path, moment, save_every=save_every)
    model, report = run(tmp_path, resume=True, save_every=save_every)
    assert same(weights(model), weights(whole[0])) and report.steps == whole[1].steps


@pytest.mark.parametrize("call", ["mkdir", "replace", "save_state", "list", "rmtree"])
def test_killed_while_saving_the_older_checkpoint_is_whole(tmp_path, whole, monkeypatch, call) -> None:
    import accelerate

    count = [0]

    def kill(original):
        def killed(*args, **kwargs):
            count[0] += 1
            if count[0] == 12:
                raise Killed
            return original(*args, **kwargs)

        return killed

    with monkeypatch.context() as patch:
        if call == "save_state":
            patch.setattr(accelerate.Accelerator, "save_state", kill(accelerate.Accelerator.save_state))
        elif call == "list":
            patch.setattr(checkpoints, "_list_files", kill(checkpoints._list_files))
        elif call == "rmtree":
            patch.setattr(checkpoints.shutil, "rmtree", kill(shutil.rmtree))
        else:
            patch.setattr(Path, call, kill(getattr(Path, call)))
        with pytest.raises(Killed):
            run(tmp_path)
    model, report = run(tmp_path, resume=True)
    assert same(weights(model), weights(whole[0])) and report.steps == whole[1].steps
    assert not list(tmp_path.rglob("*.part"))


def test_no_example_is_lost_or_doubled(tmp_path) -> None:
    complete, first, second = Seen(), Seen(), Seen()
    set_seed(7)
    fit(Fragile(), complete, **{**OPTIONS, "save_every": None})
    set_seed(7)
    with pytest.raises(Killed):
        fit(Fragile(7), first, output=tmp_path, **OPTIONS)  # within the second epoch
    fit(Fragile(), second, output=tmp_path, resume=True, **OPTIONS)
    assert first.labels[:6] == complete.labels[:6]
    assert second.labels == complete.labels[4:]  # the epoch begins again, its first two batches are passed over


class Drawn(Seen):
    """Batches that draw random numbers when they are taken, as one that hides words does."""

    def __iter__(self):
        for batch in self.inner:
            yield {**batch, "x": batch["x"] + 0.1 * torch.randn_like(batch["x"])}
        torch.rand(1)


# 4 steps an epoch, 3 dev batches after the second and the fourth: passes 1 2 (3 4 5) 6 7 (8 9 10) 11 12 ...
@pytest.mark.parametrize("moment", [2, 4, 6, 7, 9, 11, 16])
def test_it_goes_on_the_same_where_a_step_was_looked_at_before_an_evaluation(tmp_path, moment) -> None:
    options = {**OPTIONS, "evaluate_every": 2}

    class Draws(Fragile):
        """Draws also when it is evaluated."""

        def forward(self, x, labels=None):
            torch.rand(1)
            return super().forward(x, labels)

    def train(output, moment=None, resume=False):
        set_seed(99 if resume else 3)
        model = Draws(moment)
        save = {} if output else {"save_every": None}
        return model, fit(model, Drawn(), dev_batches(), output=output, resume=resume, **{**options, **save})

    whole = train(None)
    with pytest.raises(Killed):
        train(tmp_path, moment)
    model, report = train(tmp_path, resume=True)
    assert same(weights(model), weights(whole[0])) and report.steps == whole[1].steps
    assert [(r.step, r.scores) for r in report.records] == [(r.step, r.scores) for r in whole[1].records]


def test_a_dataloader_goes_on_too(tmp_path) -> None:
    from torch.utils.data import DataLoader

    rows = [{name: column[i] for name, column in batches().columns.items()} for i in range(23)]

    def train(output, moment=None, resume=False):
        set_seed(99 if resume else 3)
        model = Fragile(moment)
        options = OPTIONS if output else {**OPTIONS, "save_every": None}
        fit(model, DataLoader(rows, batch_size=6, shuffle=True), output=output, resume=resume, **options)
        return weights(model)

    with pytest.raises(Killed):
        train(tmp_path, moment=7)
    assert same(train(tmp_path, resume=True), train(None))


def test_a_damaged_checkpoint_is_passed_over_with_a_sentence(tmp_path, whole) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 10)
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    weights_file = newest / "model.safetensors"
    content = bytearray(weights_file.read_bytes())
    content[-3] ^= 1
    weights_file.write_bytes(content)
    set_seed(99)
    model, ear = Fragile(), Ear()
    fit(model, batches(), dev_batches(), output=tmp_path, resume=True, watchers=[ear], **OPTIONS)
    assert same(weights(model), weights(whole[0]))
    assert len(ear.heard) == 1 and newest.name in ear.heard[0] and "has changed since it was written" in ear.heard[0]


def test_it_is_said_also_where_nobody_watches(tmp_path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 6)
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    (newest / "files.json").unlink()
    with pytest.warns(UserWarning, match=f"{newest.name} is damaged"):
        run(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "files.json").unlink(), "files.json is missing"),
        (lambda f: (f / "files.json").write_text("{"), "files.json cannot be read"),
        (lambda f: (f / "run.json").unlink(), "run.json is missing"),
        (lambda f: (f / "optimizer.bin").write_bytes(b""), "optimizer.bin has 0 of"),
    ],
)
def test_where_none_is_whole_it_says_so(tmp_path, damage, words) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 3)
    for folder in (tmp_path / "checkpoints").iterdir():
        damage(folder)
    with pytest.raises(TrainingError, match=words):
        run(tmp_path, resume=True)


def test_a_finished_run_has_nothing_left_to_do(tmp_path, whole) -> None:
    run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").rglob("*")}
    model, report = run(tmp_path, resume=True)
    assert model.passes == 0 and same(weights(model), weights(whole[0])) and len(report.records) == 3
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").rglob("*")} == before


def test_two_checkpoints_are_kept_and_the_best_model_is_ready_to_use(tmp_path) -> None:
    model, report = run(tmp_path)
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000011", "step-00000012"]
    other = Tiny()
    load_model(other, str(tmp_path / "model.safetensors"))
    assert same(weights(other), weights(model))
    assert (tmp_path / "history.csv").read_text(encoding="utf-8") == report.csv()


def test_a_run_that_is_there_is_not_overwritten(tmp_path) -> None:
    run(tmp_path)
    with pytest.raises(TrainingError, match=r"go on with it by resume=True"):
        run(tmp_path)


def test_another_recipe_or_other_data_cannot_go_on(tmp_path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 6)
    with pytest.raises(TrainingError, match=r"another recipe \(learning_rate: 0.05, not 0.1\)"):
        run(tmp_path, resume=True, learning_rate=0.1)
    with pytest.raises(TrainingError, match="trained on 4 batches an epoch, and now there are 8"):
        fit(Fragile(), batches(size=3), dev_batches(), output=tmp_path, resume=True, **OPTIONS)


def test_what_is_made_from_something_else_cannot_go_on(tmp_path) -> None:
    made_from = {"model": "a", "data": "here", "contents": "1"}
    with pytest.raises(Killed):
        run(tmp_path, 6, made_from=made_from)
    with pytest.raises(TrainingError, match=r"began with other choices \(model: a, not b\): go on with the same"):
        run(tmp_path, resume=True, made_from={**made_from, "model": "b"})
    with pytest.raises(TrainingError, match=r"\(data: here, not there; contents: 1, not 2\)"):
        run(tmp_path, resume=True, made_from={**made_from, "data": "there", "contents": "2"})
    run(tmp_path, resume=True, made_from={**made_from, "data": "moved", "new": "not recorded then"})


def test_a_checkpoint_that_does_not_say_what_it_was_made_from_goes_on(tmp_path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 6)
    run(tmp_path, resume=True, made_from={"model": "a"})


def test_resuming_where_nothing_was_begins_at_the_beginning(tmp_path, whole) -> None:
    set_seed(7)
    model = Fragile()
    fit(model, batches(), dev_batches(), output=tmp_path / "new", resume=True, **OPTIONS)
    assert same(weights(model), weights(whole[0]))


# ------------------------------------------------------------------------------------------------ the best model


class Ear(Watcher):
    """Notes what is said."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def remark(self, sentence):
        self.heard.append(sentence)


def kept_in_history(output: Path) -> int:
    rows = list(csv.DictReader((output / "history.csv").read_text(encoding="utf-8").splitlines()))
    return next(int(row["step"]) for row in rows if row["kept"])


def on_disk(output: Path) -> list[torch.Tensor]:
    other = Tiny()
    load_model(other, str(output / "model.safetensors"))
    return weights(other)


DAMAGES = {
    "removed": lambda path: path.unlink(),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "empty": lambda path: path.write_bytes(b""),
    "another": lambda path: save_model(Tiny(), str(path)),
}


# The checkpoint is of the step whose weights are the best (4), or of a later one (6): save_every None and 1.
@pytest.mark.parametrize("save_every", [None, 1])
@pytest.mark.parametrize("damage", DAMAGES)
def test_it_goes_on_also_where_the_best_model_is_damaged_or_gone(tmp_path, whole, damage, save_every) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 10, save_every=save_every)
    before = on_disk(tmp_path)
    DAMAGES[damage](tmp_path / "model.safetensors")
    set_seed(99)
    model, ear = Fragile(), Ear()
    options = {**OPTIONS, "save_every": save_every}
    with pytest.raises(KeyboardInterrupt):
        fit(model, batches(), dev_batches(), output=tmp_path, resume=True, watchers=[ear, StopAt(7)], **options)
    assert same(on_disk(tmp_path), before) and same(weights(model), before) and kept_in_history(tmp_path) == 4
    assert ear.heard == [
        f"'{tmp_path}' had another model than the best of step 4, or a damaged one, and has that one again."
    ]
    model, report = run(tmp_path, resume=True, save_every=save_every)
    assert same(weights(model), weights(whole[0])) and report.steps == whole[1].steps
    assert (tmp_path / "history.csv").read_text(encoding="utf-8") == report.csv()


def test_a_best_model_that_is_newer_than_the_checkpoint_is_not_taken_for_the_checkpoints(tmp_path, monkeypatch) -> None:
    """history.csv said that step 4 was kept, and the model had the weights of step 8."""
    original = checkpoints.write_checkpoint

    def killed(output, step, *rest, **more):
        if step == 8:
            raise Killed
        return original(output, step, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_checkpoint", killed)
        with pytest.raises(Killed):
            run(tmp_path, save_every=None)
        with pytest.raises(Killed):
            run(tmp_path / "fourth", 8, save_every=None)  # the first pass of step 5
    assert kept_in_history(tmp_path) == 8 and kept_in_history(tmp_path / "fourth") == 4
    set_seed(99)
    model, ear = Fragile(), Ear()
    again = {"output": tmp_path, "resume": True, **OPTIONS, "save_every": None}
    with pytest.raises(KeyboardInterrupt):
        fit(model, batches(), dev_batches(), watchers=[StopAt(6), ear], **again)
    assert kept_in_history(tmp_path) == 4 and "another model than the best of step 4" in ear.heard[0]
    assert same(on_disk(tmp_path), weights(model)) and same(weights(model), on_disk(tmp_path / "fourth"))


def test_the_best_weights_are_in_the_checkpoint_once(tmp_path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 9, save_every=1)
    newest = sorted((tmp_path / "checkpoints").iterdir())
    assert [folder.name for folder in newest] == ["step-00000004", "step-00000005"]
    assert [(folder / "best.pt").is_file() for folder in newest] == [False, True]


def test_a_checkpoint_of_an_older_version_without_the_best_weights_is_one_sentence(tmp_path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 10)
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    (newest / "best.pt").unlink()
    entries = json.loads((newest / "files.json").read_text(encoding="utf-8"))
    del entries["best.pt"]
    (newest / "files.json").write_text(json.dumps(entries), encoding="utf-8")
    with pytest.raises(TrainingError, match="is of an older version of the course and lacks the best weights: begin"):
        run(tmp_path, resume=True)


def test_nothing_is_said_where_the_best_model_is_as_it_was(tmp_path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 10)
    ear = Ear()
    fit(Fragile(), batches(), dev_batches(), output=tmp_path, resume=True, watchers=[ear], **OPTIONS)
    assert not ear.heard


def test_a_watcher_that_hears_nothing_does_not_keep_a_sentence_from_being_said(tmp_path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, 10)
    (tmp_path / "model.safetensors").unlink()
    with pytest.warns(UserWarning, match="had another model than the best of step 4"):
        fit(Fragile(), batches(), dev_batches(), output=tmp_path, resume=True, watchers=[Watcher()], **OPTIONS)


# ------------------------------------------------------------------------------------------------ the disk


def test_a_full_disk_leaves_the_older_checkpoint_and_says_what_to_do(tmp_path, monkeypatch, whole) -> None:
    calls = [0]
    original = torch.save

    def full(thing, file, *args, **kwargs):
        calls[0] += 1
        if calls[0] > 9 and "part" in str(file):
            Path(file).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        return original(thing, file, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(
            TrainingError, match=r"cannot be written .*No space left on device.*the newest whole one is step-"
        ):
            run(tmp_path)
    assert not list(tmp_path.rglob("*.part"))
    model, _ = run(tmp_path, resume=True)
    assert same(weights(model), weights(whole[0]))


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_trained(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TrainingError, match="is a file; give a folder"):
        run(tmp_path / "file")
    with pytest.raises(TrainingError, match="cannot be written"):
        run(tmp_path / "file" / "below")


def test_a_bad_batch_is_saved_and_named(tmp_path) -> None:
    from safetensors.torch import load_file
    from tiny import H, columns

    bad = [columns(), {**columns(), "x": torch.full((23, H), torch.nan)}]
    with pytest.raises(TrainingError, match=r"nan at step 2.*bad-batch-step-2\.safetensors") as caught:
        fit(Tiny(), bad, output=tmp_path, epochs=1)
    saved = load_file(tmp_path / "bad-batch-step-2.safetensors")
    assert saved["0.x"].isnan().all() and torch.equal(saved["0.labels"], bad[1]["labels"])
    assert caught.value.batches[0] is bad[1]


# ------------------------------------------------------------------------------------------------ stopping


def test_ctrl_c_finishes_the_step_saves_and_leaves_the_best_model(tmp_path, whole) -> None:
    class Pressed(Fragile):
        def forward(self, x, labels=None):
            if self.passes == 8:  # the second step of the second epoch: 4 steps, 3 dev batches, 1 step before
                signal.raise_signal(signal.SIGINT)
            return super().forward(x, labels)

    set_seed(7)
    model = Pressed()
    handler = signal.getsignal(signal.SIGINT)
    said = rf"^'{tmp_path}' has the best model so far \(step 4, accuracy 0\.\d+ on dev\), its history, and a checkpoint of step 6"
    with pytest.raises(KeyboardInterrupt, match=said):
        fit(model, batches(), dev_batches(), output=tmp_path, **{**OPTIONS, "save_every": None})
    assert signal.getsignal(signal.SIGINT) is handler
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir())[-1] == "step-00000006"
    assert (tmp_path / "history.csv").is_file() and not model.training
    model, report = run(tmp_path, resume=True, save_every=None)
    assert same(weights(model), weights(whole[0])) and report.steps == whole[1].steps


def test_what_is_there_is_said_also_without_dev_and_without_a_folder(tmp_path) -> None:
    with pytest.raises(
        KeyboardInterrupt, match=rf"^'{tmp_path}' has the model of step 4, its history, and a checkpoint of"
    ):
        fit(Tiny(), batches(), output=tmp_path, watchers=[StopAt(6)], metric="accuracy", **OPTIONS)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        fit(Tiny(), batches(), watchers=[StopAt(6)], **{**OPTIONS, "save_every": None})


class StopAfterEvaluation(Watcher):
    """Presses stop when a step was evaluated."""

    def __init__(self, step: int) -> None:
        self.at = step

    def evaluated(self, training):
        if training.records[-1].step == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stops", [StopAt, StopAfterEvaluation])
@pytest.mark.parametrize("at", [2, 3, 4, 6, 8, 9])
@pytest.mark.parametrize(
    "changes",
    [{"evaluate_every": 2}, {"steps": 9}, {"steps": 9, "evaluate_every": 3}, {"evaluate_every": 3, "save_every": 3}],
    ids=str,
)
def test_no_evaluation_is_lost_or_doubled_wherever_it_was_stopped(tmp_path, stops, at, changes) -> None:
    """Stopped in the very step that an evaluation was to follow, it was left out; in an evaluation, it came twice."""
    options = {**OPTIONS, "save_every": None, **changes}

    def train(output, resume=False, watchers=()):
        set_seed(99 if resume else 7)
        model = Fragile()
        return model, fit(model, Drawn(), dev_batches(), output=output, resume=resume, watchers=watchers, **options)

    whole = train(tmp_path / "whole")
    try:
        train(tmp_path / "cut", watchers=[stops(at)])
    except KeyboardInterrupt:
        pass
    else:
        assert stops is StopAfterEvaluation and at not in [record.step for record in whole[1].records]
    model, report = train(tmp_path / "cut", resume=True)
    assert same(weights(model), weights(whole[0])) and report.steps == whole[1].steps
    assert [(r.step, r.train_loss, r.scores, r.end_of_epoch) for r in report.records] == [
        (r.step, r.train_loss, r.scores, r.end_of_epoch) for r in whole[1].records
    ]


@pytest.mark.parametrize("save_every", [None, 1])
def test_killed_in_the_last_evaluation_of_so_many_steps_it_is_made_up_for(tmp_path, save_every) -> None:
    options = {"steps": 6, "save_every": save_every}
    whole = run(tmp_path / "whole", **options)
    with pytest.raises(Killed):
        run(tmp_path / "cut", 10, **options)  # 4 steps, 3 dev batches, 2 steps
    model, report = run(tmp_path / "cut", resume=True, **options)
    assert same(weights(model), weights(whole[0]))
    assert [(r.step, r.scores) for r in report.records] == [(r.step, r.scores) for r in whole[1].records]


def test_a_second_ctrl_c_in_an_evaluation_goes_back_to_before_it(tmp_path) -> None:
    """Half an evaluation is none: it is done again."""

    class Twice(Fragile):
        def forward(self, x, labels=None):
            if self.passes == 3 and self.moment == 0:  # 2 steps, and then the second dev batch
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return super().forward(x, labels)

    options = {**OPTIONS, "save_every": None, "evaluate_every": 2}
    set_seed(7)
    whole = fit(Twice(), batches(), dev_batches(), **options)
    set_seed(7)
    with pytest.raises(KeyboardInterrupt):
        fit(Twice(0), batches(), dev_batches(), output=tmp_path, **options)
    set_seed(99)
    report = fit(Twice(), batches(), dev_batches(), output=tmp_path, resume=True, **options)
    assert [(r.step, r.scores) for r in report.records] == [(r.step, r.scores) for r in whole.records]


_SCRIPT = """
import sys, time
sys.path[:0] = [{here!r}, {root!r}]
import torch
torch.set_num_threads(1)
from tiny import Tiny, batches, dev_batches
from course_lib.training import fit, set_seed

class Slow(Tiny):
    def forward(self, x, labels=None):
        time.sleep(0.004)
        return super().forward(x, labels)

set_seed(7)
print("begins", flush=True)
fit(Slow(), batches(), dev_batches(), output={output!r}, resume=True, epochs=25, learning_rate=0.05, save_every=2)
print("ends", flush=True)
"""


@pytest.mark.slow
def test_a_process_killed_at_random_moments_goes_on_to_the_same_weights(tmp_path) -> None:
    import random

    from safetensors.torch import load_file

    def start(output: Path) -> subprocess.Popen:
        script = _SCRIPT.format(
            here=str(Path(__file__).parent), root=str(Path(__file__).parents[2]), output=str(output)
        )
        return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)

    draw, kills = random.Random(5), 0
    while True:
        process = start(tmp_path / "killed")
        assert process.stdout.readline() == "begins\n"
        if kills < 5:
            time.sleep(draw.uniform(0.15, 0.5))
            os.kill(process.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
            kills += 1
        rest = process.stdout.read()
        process.wait()
        if rest == "ends\n":
            break
    reference = start(tmp_path / "whole")
    reference.communicate()
    newest = [checkpoints.newest_checkpoint(tmp_path / name) for name in ("killed", "whole")]
    states = [load_file(folder / "model.safetensors") for folder, _, _ in newest]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
    assert newest[0][1]["steps"] == newest[1][1]["steps"] and json.dumps(newest[0][1]["records"]) != ""
    assert kills == 5
