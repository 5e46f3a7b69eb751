"""Somebody stops a run because it is good enough, or by mistake: what is there can be used, and it is said what that is."""

import json
import shutil
import signal

import pytest
import torch
import transformers
from stopping import StopAt

from course_lib.__main__ import main
from course_lib.datasets import write_dataset
from course_lib.errors import ModelFilesError, TrainingError
from course_lib.finetuning import TASKS, FineTuned, fine_tune, train_classifier
from course_lib.finetuning.leaderboard import leaderboard
from course_lib.training import loop

RECIPE = {"epochs": 4, "learning_rate": 0.004, "warmup": 0.0, "precision": "float32", "schedule": "constant",
          "batch_size": 4, "progress": False, "seed": 2}  # fmt: skip
ZOO = {"epochs": 4, "batch_size": 4, "learning_rate": 1e-2, "precision": "float32", "minimum": 1,
       "options": {"filters": 8, "embedding": 16}}  # fmt: skip


def card(folder) -> dict:
    return json.loads((folder / "fine_tuning.json").read_text(encoding="utf-8"))


def state(tuned) -> dict:
    return tuned.model.state_dict()


def same(one, other) -> bool:
    return all(torch.equal(tensor, state(other)[name]) for name, tensor in state(one).items())


@pytest.mark.parametrize("name", TASKS)
def test_the_best_model_so_far_is_ready_to_use_and_the_run_goes_on(tiny, data, tmp_path, name) -> None:
    known, folder = data[TASKS[name].data], tmp_path / "cut"
    options = {**RECIPE, "task": name, "evaluate_every": 1}
    whole = fine_tune(known, tiny, output=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt, match=rf"^'{folder}' has the best model so far \(step "):
        fine_tune(known, tiny, output=folder, watchers=[StopAt(4)], **options)
    used = FineTuned.load(folder)
    assert used.task.name == name and used.task.labels == whole.task.labels and used.task.form == whole.task.form
    assert (folder / "history.csv").is_file() and card(folder)["finished"] is False
    assert used.evaluate(list(known.test)).scores.keys() == whole.evaluate("test").scores.keys()
    with pytest.raises(TrainingError, match=r"has the checkpoints of a run already; go on with it by resume=True"):
        fine_tune(known, tiny, output=folder, **options)
    assert same(whole, fine_tune(known, tiny, output=folder, resume=True, **options))
    assert card(folder)["finished"] is True and not (folder / "checkpoints").exists()
    assert same(whole, FineTuned.load(folder))
    assert fine_tune(known, tiny, output=folder, resume=True, **options).history is None  # nothing left to do


def test_transformers_reads_the_tokenizer_that_the_stopped_model_was_trained_with(tiny, data, tmp_path) -> None:
    """It made one up, of five tokens, and answered."""
    with pytest.raises(KeyboardInterrupt):
        fine_tune(data["classification"], tiny, output=tmp_path, watchers=[StopAt(7)], **RECIPE)
    transformers.utils.logging.disable_progress_bar()
    (theirs,) = transformers.pipeline("text-classification", str(tmp_path))(["rain and sun"])
    ours = FineTuned.load(tmp_path).predict("rain and sun")[0]
    assert theirs["label"] == ours["label"] and theirs["score"] == pytest.approx(ours["score"], abs=1e-5)


@pytest.mark.parametrize("name", ["TextCNN", "bert_CNN"])
def test_a_model_of_the_zoo_too(tiny, data, tmp_path, name) -> None:
    options = dict(ZOO)
    if name == "bert_CNN":
        del options["minimum"]
        options |= {"encoder": tiny, "options": {"filters": 8}}
    whole = train_classifier(name, data["classification"], **options)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(name, data["classification"], output=tmp_path, watchers=[StopAt(7)], **options)
    assert FineTuned.load(tmp_path).predict("rain and sun")[0]["label"] in ("weather", "sport")
    assert same(whole, train_classifier(name, data["classification"], output=tmp_path, resume=True, **options))


def test_before_the_first_evaluation_there_is_no_model_and_that_is_said(tiny, data, tmp_path) -> None:
    said = rf"^Nothing was evaluated up to step 2, so there is no best model yet; '{tmp_path}' has a checkpoint of step 2: "
    with pytest.raises(KeyboardInterrupt, match=said):
        fine_tune(data["classification"], tiny, output=tmp_path, watchers=[StopAt(2)], **RECIPE)
    assert not (tmp_path / "history.csv").exists()
    with pytest.raises(
        ModelFilesError, match=rf"^'{tmp_path}' has no model yet: .* before it was evaluated; .*--resume .*goes on"
    ):
        FineTuned.load(tmp_path)
    whole = fine_tune(data["classification"], tiny, **RECIPE)
    assert same(whole, fine_tune(data["classification"], tiny, output=tmp_path, resume=True, **RECIPE))


def test_a_batch_that_made_a_run_diverge_is_no_model(tiny, data, tmp_path, monkeypatch) -> None:
    original = loop.weighted
    monkeypatch.setattr(loop, "weighted", lambda *parts: original(*parts) * float("nan"))
    with pytest.raises(TrainingError, match=r"The loss is nan at step 1; .*bad-batch-step-1\.safetensors"):
        fine_tune(data["classification"], tiny, output=tmp_path, **RECIPE)
    with pytest.raises(ModelFilesError, match="has no model yet"):
        FineTuned.load(tmp_path)


def test_a_run_that_is_refused_leaves_the_card_of_the_run_that_is_there(tiny, data, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fine_tune(data["classification"], tiny, output=tmp_path, watchers=[StopAt(7)], **RECIPE)
    before = card(tmp_path)
    with pytest.raises(TrainingError, match="had another recipe"):
        fine_tune(data["classification"], tiny, output=tmp_path, resume=True, **{**RECIPE, "learning_rate": 0.1})
    with pytest.raises(TrainingError, match="began with other choices"):
        fine_tune(data["tags"], tiny, output=tmp_path, resume=True, **RECIPE)
    assert card(tmp_path) == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_model_of_a_run_whose_checkpoints_were_removed_is_not_overwritten(tiny, data, tmp_path, resume) -> None:
    with pytest.raises(KeyboardInterrupt):
        fine_tune(data["classification"], tiny, output=tmp_path, watchers=[StopAt(7)], **RECIPE)
    shutil.rmtree(tmp_path / "checkpoints")
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(
        TrainingError, match="has the best model of a run that was stopped, and its checkpoints are gone"
    ):
        fine_tune(data["classification"], tiny, output=tmp_path, resume=resume, **RECIPE)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(tiny, data, tmp_path, monkeypatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*rest, **more):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop.checkpoints, "write_checkpoint", killed)
        with pytest.raises(Killed):
            fine_tune(data["classification"], tiny, output=tmp_path, **RECIPE)
    assert card(tmp_path)["finished"] is False
    fine_tune(data["classification"], tiny, output=tmp_path, **RECIPE)
    assert card(tmp_path)["finished"] is True


def test_the_leaderboard_goes_on_with_a_model_that_was_stopped(data, tmp_path, monkeypatch) -> None:
    known = data["classification"]
    place = tmp_path / "TextCNN-seed0"
    with pytest.raises(KeyboardInterrupt):
        train_classifier("TextCNN", known, seed=0, output=place, watchers=[StopAt(7)], **ZOO)
    gone_on = []
    monkeypatch.setattr(loop._Run, "_write_again", lambda self: gone_on.append(self.step))
    leaderboard(known, ["TextCNN"], output=tmp_path, resume=True, **ZOO)
    assert gone_on == [7]


# ------------------------------------------------------------------------------------------------ on the command line


@pytest.fixture
def pressed(monkeypatch):
    """Ctrl-C, or SIGTERM, in a step."""

    def press(at: int, number: int = signal.SIGINT) -> None:
        original = loop._Run._train_step

        def step(self, *rest):
            if self.step + 1 == at:
                signal.raise_signal(number)
            original(self, *rest)

        monkeypatch.setattr(loop._Run, "_train_step", step)

    return press


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_what_is_there_and_predict_takes_it(tiny, data, tmp_path, capsys, pressed, number) -> None:
    write_dataset(data["classification"], tmp_path / "data")
    out = tmp_path / "out"
    options = ["--epochs", "4", "--batch-size", "4", "--learning-rate", "0.004", "--precision", "float32"]
    train = ["train", "--model", str(tiny), "--data", str(tmp_path / "data"), "--output", str(out), *options]
    pressed(5, number)
    assert main(train) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"Stopped. '{out}' has the best model so far (step 3, accuracy ") and said.endswith(
        "), its history, and a checkpoint of step 5: the same command with --resume (resume=True) goes on from there."
    )
    assert main(["predict", "--model", str(out), "--text", "rain and sun"]) == 0
    assert json.loads(capsys.readouterr().out)["label"] in ("weather", "sport")
    assert main([*train, "--resume"]) == 0
    assert "The model is in" in capsys.readouterr().out


def test_the_command_says_that_there_is_no_model_yet(tiny, data, tmp_path, capsys, pressed) -> None:
    write_dataset(data["classification"], tmp_path / "data")
    out = tmp_path / "out"
    train = ["train", "--model", str(tiny), "--data", str(tmp_path / "data"), "--output", str(out), "--batch-size", "4"]
    pressed(2)
    assert main(train) == 130
    assert (
        f"Stopped. Nothing was evaluated up to step 2, so there is no best model yet; '{out}' has a checkpoint of step 2: "
        "the same command with --resume (resume=True) goes on from there." in capsys.readouterr().err
    )
    assert main(["predict", "--model", str(out), "--text", "rain and sun"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ModelFilesError: ") and "has no model yet" in said and len(said.splitlines()) == 1
    assert main(["evaluate", "--model", str(out), "--data", str(tmp_path / "data")]) == 1


def test_where_all_models_are_compared_it_is_said_of_the_one_that_was_trained(data, tmp_path, capsys, pressed) -> None:
    write_dataset(data["classification"], tmp_path / "data")
    out = tmp_path / "out"
    compare = ["train", "--model", "all", "--models", "TextCNN", "--data", str(tmp_path / "data"), "--output", str(out)]
    pressed(1)
    assert main(compare) == 130
    said = capsys.readouterr().err
    assert (
        f"Stopped. Nothing was evaluated up to step 1, so there is no best model yet; '{out / 'TextCNN-seed0'}'" in said
    )
