"""The training loop, for any model: the trainer knows no model.

A model is called with a batch, `model(**batch)`, and answers with an object that has `loss` and `logits`, as all heads
of this course and of transformers do. A batch is a dictionary of tensors; batches are anything that can be gone through
again and again, such as a `torch.utils.data.DataLoader` or `course_lib.batching.Batches`.

On several processes, started by `torchrun` or `accelerate launch`, the same call trains one model together: the
gradients are shared by accelerate, and each process takes its rows of every batch (`sharing`). With DDP every process
trains the model that it was given. With FSDP a copy of it is trained, of which each process has a part, and the given
one stays whole: it takes the best weights.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import optim
from course_lib.devices import reckoning
from course_lib.errors import TrainingError
from course_lib.training import checkpoints, disk
from course_lib.training.allocation import freed_memory_kept
from course_lib.training.evaluation import Evaluation, default_scores, evaluate, logits_and_labels, to_device
from course_lib.training.history import Record, Step, Training, as_csv, better
from course_lib.training.interrupts import Interrupts
from course_lib.training.losses import Batch, ModelLoss, for_model, item_counts, weighted
from course_lib.training.recipe import Recipe
from course_lib.training.seeds import random_state, set_random_state
from course_lib.training.sharing import (
    Share,
    accelerator,
    copy_whole,
    is_sharded,
    own_random_numbers,
    same_random_numbers,
    sum_over_processes,
)
from course_lib.training.watching import ProgressBar, Watcher


def fit(
    model: nn.Module,
    train: Iterable[Batch],
    dev: Iterable[Batch] | None = None,
    *,
    recipe: Recipe | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    loss: Any = None,
    keep: Callable[[Any, Batch], Mapping[str, Tensor]] = logits_and_labels,
    score: Callable[[Evaluation], Mapping[str, float]] = default_scores,
    watchers: Sequence[Watcher] = (),
    progress: bool | None = False,
    made_from: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Training:
    """Train a model with AdamW (Loshchilov and Hutter 2019), and evaluate it at the end of every epoch and of the run.

    The model ends with the weights of the evaluation that was best on dev, by `recipe.metric`: without one, those most
    often right; of equals, and where labels are not one class number an example, those with the lower loss. Without
    dev, with the last. It ends in evaluation mode. Parameters with `requires_grad` False stay as they are.

    For the same result twice: `set_seed` before the model is built, and batches with a seed of their own.

    Args:
        train, dev: batches with labels.
        recipe: all choices of the run; `changes` are fields of it, as in `fit(model, train, epochs=2)`.
        output: a folder for the best model, the history, and checkpoints from which a run that was cut off goes on.
        resume: go on from the newest whole checkpoint in `output`, if there is one, to the very weights that the run
            would have had. Give the same model, data and recipe.
        loss: what is minimised (`losses`); by default what the model gives.
        keep, score: what an evaluation keeps of each answer, and the numbers that it becomes, with "loss" among them.
        watchers: told of every step and evaluation: `LivePlot`, `TensorBoard`. With FSDP the model that they may look
            at has the best weights so far.
        progress: a progress bar; None shows one where the run takes more than a few seconds.
        made_from: what the run is made from, by name, as JSON keeps it (model, data): it is kept in the checkpoints, and a
            run that differs does not go on from them (`checkpoints.check_made_from`).

    Raises:
        ValueError: a number that makes no sense, a model without anything to train, or an empty train.
        TrainingError: a batch without labels; a loss that is no number any more: the model then has the best weights
            so far, those of the start if nothing was evaluated, and the batch is saved; a folder that cannot be written, or
            whose run was another one.
        KeyboardInterrupt: somebody stopped it. The step was finished, a checkpoint written (with `output`), and the
            model has the best weights so far; the error says what is in `output`.
    """
    recipe = (recipe or Recipe()).but(**changes)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("The model has no parameter with requires_grad=True, so there is nothing to train.")
    folder = None if output is None else Path(output).expanduser()
    if folder is None and (resume or recipe.save_every):
        raise ValueError("resume and save_every need an output folder: give output=.")
    everyone: list[Watcher] = [*watchers]
    if progress or progress is None:
        everyone.append(ProgressBar(delay=0.0 if progress else 5.0))
    loss = ModelLoss() if loss is None else loss
    run = _Run(model, train, dev, recipe, folder, loss, keep, score, everyone, made_from or {})
    return run.go(resume)


class _Run:
    """One run: what it stands on, and how far it is."""

    def __init__(
        self,
        model: nn.Module,
        train: Iterable[Batch],
        dev: Iterable[Batch] | None,
        recipe: Recipe,
        output: Path | None,
        loss: Any,
        keep: Callable[[Any, Batch], Mapping[str, Tensor]],
        score: Callable[[Evaluation], Mapping[str, float]],
        watchers: Sequence[Watcher],
        made_from: Mapping[str, Any],
    ) -> None:
        self.given, self.train, self.dev, self.recipe = model, train, dev, recipe
        self.output, self.loss, self.keep, self.score = output, loss, keep, score
        self.made_from = made_from
        self.accelerator = accelerator()
        self.share = Share(self.accelerator.process_index, self.accelerator.num_processes)
        self.sharded = is_sharded(self.accelerator)
        self.watchers = watchers if self.accelerator.is_main_process else []
        same_random_numbers(self.share)
        self.plain = copy.deepcopy(model) if self.sharded else model  # what is trained; accelerate may wrap it
        if self.share.processes > 1 and not self.sharded:
            model.to(self.accelerator.device)
        groups = optim.parameter_groups(
            self.plain, recipe.weight_decay, recipe.learning_rate, recipe.layer_decay, recipe.head_learning_rate
        )
        optimizer = optim.adamw(groups)
        self.model, self.optimizer = self.accelerator.prepare(self.plain, optimizer)
        self.all_steps = self._planned_steps()
        self.schedule: Any = None
        if self.all_steps is not None:
            self.schedule = optim.schedule(recipe.schedule, optimizer, recipe.warmup, self.all_steps)
        # how far the run is
        self.step, self.epoch, self.batches = 0, 0, 0  # batches: of this epoch, those that steps have used
        self.total, self.items = 0.0, 0.0  # loss times items of this epoch, and items
        self.records: list[Record] = []
        self.steps: list[Step] = []
        self.best: Record | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.written: Record | None = None  # whose weights and history the output folder has
        self.stale = 0  # evaluations since the best
        self.stopped = ""
        self.seconds_before, self.began = 0.0, perf_counter()
        self.whole = True  # no step, and no evaluation, is half done
        self.due = False  # an evaluation of this step is to come
        self.saved: tuple[int, int] | None = None  # step and epoch of the newest checkpoint
        self.epoch_began: dict[str, Any] = {}  # random numbers and data, where this epoch began
        self.looked_from: dict[str, Any] | None = None  # random numbers, where the next batches were looked at

    def _planned_steps(self) -> int | None:
        """Steps of the whole run; None where the batches do not know their number and the rate does not need it."""
        if self.recipe.steps is not None:
            return self.recipe.steps
        try:
            batches = len(self.train)  # type: ignore[arg-type]
        except TypeError:
            if self.recipe.schedule == "constant":
                return None
            raise ValueError(
                f"train does not say how many batches it has, and the schedule {self.recipe.schedule} needs the length of "
                "the run: give steps=, or batches that have a length."
            ) from None
        return self.recipe.epochs * max(1, math.ceil(batches / self.recipe.accumulate))

    # ------------------------------------------------------------------------------------------------ the run

    def go(self, resume: bool) -> Training:
        if self.output is not None:
            checkpoints.prepare_output(self.output, resume=resume)
        self._keep_weights()  # what is put back when nothing was evaluated
        went_on = resume and self._resume()
        for watcher in self.watchers:
            watcher.begin(self.all_steps, self.step)
        try:
            with Interrupts() as interrupts, freed_memory_kept():
                if self.output is not None and not went_on:
                    self._save()  # the very beginning: whoever goes on from there draws the same numbers
                if not (went_on and self._finished()):
                    self._epochs(interrupts)
        except KeyboardInterrupt as error:
            if self.whole and self.saved not in (None, (self.step, self.epoch)):
                self._save()
            if self.output is not None and not error.args:
                error.args = (self._reached(),)
            raise
        finally:  # also when somebody stops a long training: what was reached is not lost
            self._put_back()
            for watcher in self.watchers:
                watcher.end()
        return self._result()

    def _result(self) -> Training:
        assert self.best is not None
        return Training(tuple(self.records), self.best, tuple(self.steps), self._metric(), self.stopped)

    def _metric(self) -> str | None:
        """By which the best is chosen; None without dev."""
        if self.best is None or not self.best.scores:
            return None
        return self.recipe.metric or ("accuracy" if "accuracy" in self.best.scores else "loss")

    def _reached(self) -> str:
        """One sentence for whoever stopped the run: what the folder has, and how to go on."""
        if self.saved is None:
            return f"'{self.output}' has nothing yet: begin again."
        checkpoint = f"a checkpoint of step {self.saved[0]}"
        go_on = "the same command with --resume (resume=True) goes on from there."
        if self.written is None:
            return (
                f"Nothing was evaluated up to step {self.step}, so there is no best model yet; '{self.output}' has "
                f"{checkpoint}: {go_on}"
            )
        model = f"the model of step {self.written.step}"
        if (name := self._metric()) is not None:
            score = f"{name} {self.written.scores[name]:.4g} on dev"
            model = f"the best model so far (step {self.written.step}, {score})"
        return f"'{self.output}' has {model}, its history, and {checkpoint}: {go_on}"

    def _finished(self) -> bool:
        """Is there nothing left to do?"""
        if self.stopped:
            return True
        if self.recipe.steps is not None:
            return self._at_the_end() and not self.due
        return self.epoch >= self.recipe.epochs

    def _epochs(self, interrupts: Interrupts) -> None:
        while not self._finished():
            if not self.batches:
                self.total = self.items = 0.0
            before = self.step
            self.model.train()
            steps = _Ahead(self._steps_of_epoch())
            while not (self._at_the_end() or self.stopped):
                if not self.due:  # else the run was cut off between a step and its evaluation
                    step = next(steps, None)
                    if step is None:
                        break
                    self._train_step(step, interrupts)
                self._after_step(steps)
            if self.stopped:
                break
            if self.step == before and not self.batches:
                raise ValueError(
                    "train has no batches. A generator can be gone through once: give a list or a DataLoader."
                )
            self.looked_from = None
            self._evaluate(end_of_epoch=True)
            if self.output is not None:
                self._save()

    def _after_step(self, steps: _Ahead) -> None:
        every, save = self.recipe.evaluate_every, self.recipe.save_every
        if every and self.step % every == 0 and not self._at_the_end():
            self.whole = False
            before = random_state()
            more = steps.more()
            self.looked_from = before  # only now: a run that goes on begins its epoch's batches within more()
            if more:  # without more steps it is the end of the epoch, which is evaluated as such
                self._evaluate(end_of_epoch=False)
            self.whole, self.due = True, False
        if save and self.step % save == 0:
            self._save()

    def _at_the_end(self) -> bool:
        return self.recipe.steps is not None and self.step >= self.recipe.steps

    def _steps_of_epoch(self) -> Iterator[list[Batch]]:
        """The batches of each step; those that were used before the run was cut off are passed over."""
        if self.epoch_began:  # resumed within an epoch: begin it as it began, then go where it was
            now = random_state()
            set_random_state(self.epoch_began["random"])
            self._set_data_state(self.epoch_began["data"])
            batches = iter(self.train)
            for _ in itertools.islice(batches, self.batches):
                pass
            ahead: list[Batch] = []
            if self.looked_from is not None:
                set_random_state(self.looked_from)
                ahead = list(itertools.islice(batches, self.recipe.accumulate))
            set_random_state(now)
            if ahead:
                yield ahead
        else:
            self.epoch_began = {"random": random_state(), "data": self._data_state()}
            batches = iter(self.train)
        while step := list(itertools.islice(batches, self.recipe.accumulate)):
            yield step

    def _train_step(self, batches: list[Batch], interrupts: Interrupts) -> None:
        # items of each term of the loss, (terms,)
        everything = torch.stack([item_counts(self.loss, batch) for batch in batches]).sum(dim=0)
        parts = [self.share.rows(batch) for batch in batches]
        losses, last = [], len(parts) - 1
        self.optimizer.zero_grad(set_to_none=True)
        for number, part in enumerate(parts):
            # only the last batch of a step tells the other processes of its gradients
            quiet = self.accelerator.no_sync(self.model) if number < last else contextlib.nullcontext()
            with quiet:
                own = own_random_numbers(self.share, self.accelerator.device)
                with reckoning(self.plain, self.recipe.precision), own:
                    answer = self.model(
                        **to_device(for_model(self.loss, part.batch), self.plain), **self.loss.arguments
                    )
                    loss = self.loss(answer, part.batch)
                counts = item_counts(self.loss, part.batch) if part.size else torch.zeros_like(everything)
                # a mean over all items of the step, whoever has them; the gradients of the processes are averaged
                loss = weighted(loss, counts / everything.clamp(min=1e-30) * self.share.processes)
                losses.append(loss.detach())
                self.accelerator.backward(loss)
        # asked for only now: a graphics card is waited for once a step, with all its work before it
        value = sum(one.item() for one in losses) / self.share.processes
        value, stops = sum_over_processes(self.share, value, float(interrupts.asked))
        if not math.isfinite(value):
            self._diverged(value, batches)
        if self.recipe.clip is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.whole = False
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        self.step, self.batches = self.step + 1, self.batches + len(batches)
        self.whole, self.looked_from = True, None
        every = self.recipe.evaluate_every
        self.due = self._at_the_end() or bool(every and self.step % every == 0)
        items = everything.sum().item()
        self.total, self.items = self.total + value * items, self.items + items
        self.steps.append(Step(self.step, value, rate))
        for watcher in self.watchers:
            watcher.step(self.steps[-1])
        if self.share.processes == 1:
            interrupts.raise_if_asked()
        elif stops:  # one that was asked stops all, after the same step
            raise KeyboardInterrupt

    def _diverged(self, value: float, batches: list[Batch]) -> None:
        where = f"is {value} at step {self.step + 1}"
        saved = ""
        if self.output is not None:
            path = self.output / f"bad-batch-step-{self.step + 1}.safetensors"
            saved = f" The batch is saved as '{path}'."
            try:
                if self.accelerator.is_main_process:
                    _save_batches(batches, path)
            except TrainingError as fault:  # what happened in the training is said first
                saved = f" {fault}"
        error = TrainingError(_divergence(where) + saved)
        error.batches = batches  # type: ignore[attr-defined]
        raise error

    # ------------------------------------------------------------------------------------------------ evaluating

    def _evaluate(self, *, end_of_epoch: bool) -> None:
        self.whole = False  # who stops it now goes on from before it
        dev = None
        if self.dev is not None:
            dev = evaluate(
                self.plain, self.dev, loss=self.loss, keep=self.keep, precision=self.recipe.precision, share=self.share
            )
        if dev is not None and not dev.items:
            raise TrainingError(
                "dev has nothing to judge by: no label of it counts. Where words are hidden by chance, a text or two may have none "
                "hidden: hold out more."
            )
        scores = dict(self.score(dev)) if dev is not None else {}
        metric = self.recipe.metric
        if dev is not None and metric is not None and metric not in scores:
            raise ValueError(
                f"metric is {metric!r}, and the evaluation gives {', '.join(scores)}: choose one of these."
            )
        train_loss = self.total / self.items if self.items else math.nan
        record = Record(self.epoch + 1, self.step, train_loss, dev, scores, self._seconds(), end_of_epoch)
        self.records.append(record)
        if dev is not None and not math.isfinite(dev.loss):  # the last step may have broken the weights
            said = _divergence(f"on dev is {dev.loss} after epoch {record.number}")
            try:
                self._write_history()
            except TrainingError as fault:  # what happened in the training is said first
                said += f" {fault}"
            raise TrainingError(said)
        if self.best is None or better(record, self.best, metric):
            self.best, self.stale = record, 0
            self._keep_weights()
            self._write_best()
        else:
            self.stale += 1
            if self.recipe.patience is not None and self.stale >= self.recipe.patience:
                self.stopped = (
                    f"Stopped after step {self.step}: {self.stale} evaluations without anything better than step "
                    f"{self.best.step}."
                )
        self._write_history()
        if end_of_epoch:
            self.epoch, self.batches, self.epoch_began = self.epoch + 1, 0, {}
        self.whole, self.due = True, False
        for watcher in self.watchers:
            watcher.evaluated(self._result())

    def _write_best(self) -> None:
        """The given model, with the best weights so far, into the output folder."""
        if self.output is not None and self.accelerator.is_main_process:
            checkpoints.save_model(self.given, self.output, disk.GO_ON)
        self.written = self.best

    def _write_history(self) -> None:
        if self.output is not None and self.accelerator.is_main_process:
            disk.write_whole(self.output / "history.csv", as_csv(self.records, self.best), "The history", disk.GO_ON)

    def _seconds(self) -> float:
        return self.seconds_before + perf_counter() - self.began

    def _keep_weights(self) -> None:
        """Copy the weights as they are now; into the copy that is there already, for memory is the scarcer thing."""
        if self.sharded:  # the model that was given is the copy
            copy_whole(self.plain, self.given)
            return
        now = self.given.state_dict()
        if self.best_weights is None:
            self.best_weights = copy.deepcopy(now)
            return
        with torch.no_grad():
            for name, value in now.items():
                if isinstance(value, Tensor):
                    self.best_weights[name].copy_(value)
                else:
                    self.best_weights[name] = copy.deepcopy(value)

    def _put_back(self) -> None:
        if self.best_weights is not None:
            self.given.load_state_dict(self.best_weights)
        self.given.eval()

    # ------------------------------------------------------------------------------------------------ checkpoints

    def _save(self) -> None:
        assert self.output is not None
        state = {
            "recipe": dataclasses.asdict(self.recipe),
            "made_from": dict(self.made_from),
            "step": self.step,
            "epoch": self.epoch,
            "batches": self.batches,
            "due": self.due,
            "total": self.total,
            "items": self.items,
            "records": [_without_outputs(record) for record in self.records],
            "best": None if self.best is None else self.best.step,
            "stale": self.stale,
            "stopped": self.stopped,
            "steps": [dataclasses.astuple(step) for step in self.steps],
            "seconds": self._seconds(),
            "processes": self.share.processes,
            "train_batches": _length(self.train),
            "versions": versions(),
        }
        began = self.epoch_began
        if not began:  # between two epochs
            began = {"random": random_state(), "data": self._data_state()}
        now = random_state()
        schedule = None if self.schedule is None else self.schedule.state_dict()

        def write(folder: Path) -> None:
            with _only_errors():
                self.accelerator.save_state(str(folder))
            self._unmake_steps()
            if self.best is not None and self.best.step != self.step and self.accelerator.is_main_process:
                torch.save(self.given.state_dict() if self.sharded else self.best_weights, folder / checkpoints.BEST)
            mine = {"began": began, "looked_from": self.looked_from, "now": now, "schedule": schedule}
            torch.save(mine, folder / f"random-{self.share.process}.pt")

        checkpoints.write_checkpoint(
            self.output,
            self.step,
            state,
            write,
            main=self.accelerator.is_main_process,
            wait=self.accelerator.wait_for_everyone,
        )
        self.saved = self.step, self.epoch

    def _resume(self) -> bool:
        assert self.output is not None
        found = checkpoints.newest_checkpoint(self.output)
        if found is None:
            return False
        folder, state, remarks = found
        for remark in remarks:
            self._remark(remark)
        checkpoints.check_made_from(self.output, state.get("made_from", {}), self.made_from)
        before = Recipe(**state["recipe"]).but(save_every=self.recipe.save_every)
        differences = before.differences(self.recipe)
        if differences:
            raise TrainingError(
                f"The run in '{self.output}' had another recipe ({'; '.join(differences)}): go on with the same one, or "
                "begin anew in another folder."
            )
        if state["train_batches"] != _length(self.train):
            raise TrainingError(
                f"The run in '{self.output}' trained on {state['train_batches']} batches an epoch, and now there are "
                f"{_length(self.train)}: go on with the same data, or begin anew in another folder."
            )
        if state["processes"] != self.share.processes:
            raise TrainingError(
                f"The run in '{self.output}' had {state['processes']} processes, and now there are "
                f"{self.share.processes}: go on with as many."
            )
        self.step, self.epoch, self.batches = state["step"], state["epoch"], state["batches"]
        self.due, self.saved = state.get("due", False), (self.step, self.epoch)
        self.records = [Record(**record) for record in state["records"]]
        self.best = next((record for record in self.records if record.step == state["best"]), None)
        earlier = self.best is not None and self.best.step != self.step
        if earlier:  # before the weights of the checkpoint come into the same model
            self.given.load_state_dict(checkpoints.best_weights(folder))
            if not self.sharded:
                self._keep_weights()
            self._write_again()
        with _only_errors():
            self.accelerator.load_state(str(folder))
        if self.best is not None and not earlier:
            self._keep_weights()
            self._write_again()
        mine = torch.load(folder / f"random-{self.share.process}.pt", weights_only=True)
        if self.schedule is not None and mine["schedule"] is not None:
            self.schedule.load_state_dict(mine["schedule"])
        self._unmake_steps()
        self.total, self.items, self.stale = state["total"], state["items"], state["stale"]
        self.stopped, self.seconds_before = state["stopped"], state["seconds"]
        self.steps = [Step(*step) for step in state["steps"]]
        if self.batches:
            self.epoch_began, self.looked_from = mine["began"], mine["looked_from"]
        else:
            self._set_data_state(mine["began"]["data"])
        set_random_state(mine["now"])
        return True

    def _write_again(self) -> None:
        """The best model and the history of the checkpoint: what is there may be of later steps, damaged, or gone."""
        assert self.output is not None and self.best is not None
        if not self.accelerator.is_main_process:
            return
        before = checkpoints.weights_checksum(self.output)
        self._write_best()
        self._write_history()
        if checkpoints.weights_checksum(self.output) != before:
            self._remark(
                f"'{self.output}' had another model than the best of step {self.best.step}, or a damaged one, and has that "
                "one again."
            )

    def _remark(self, sentence: str) -> None:
        for watcher in self.watchers:
            watcher.remark(sentence)
        heard = any(type(watcher).remark is not Watcher.remark for watcher in self.watchers)
        if not heard and self.accelerator.is_main_process:  # nobody else would say it
            warnings.warn(sentence, UserWarning, stacklevel=5)

    def _unmake_steps(self) -> None:
        """Before its first step, an optimiser in parts is saved and loaded with a step of length 0, which it counts."""
        if self.step == 0:
            self.optimizer.state.clear()

    def _data_state(self) -> dict[str, Any]:
        state = getattr(self.train, "state_dict", None)
        return state() if callable(state) else {}

    def _set_data_state(self, state: dict[str, Any]) -> None:
        if state:
            self.train.load_state_dict(state)  # type: ignore[attr-defined]


class _Ahead(Iterator[list[Batch]]):
    """Steps of an epoch, which say whether another one comes."""

    def __init__(self, steps: Iterator[list[Batch]]) -> None:
        self.steps = steps

    def __next__(self) -> list[Batch]:
        return next(self.steps)

    def more(self) -> bool:
        """Is there another step? Its batches are taken for that, and are the next."""
        for step in self.steps:
            self.steps = itertools.chain([step], self.steps)
            return True
        return False


def _without_outputs(record: Record) -> dict[str, Any]:
    """A record as a file keeps it."""
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {**fields, "dev": None, "scores": dict(record.scores)}


def _divergence(where: str) -> str:
    return (
        f"The loss {where}; try a smaller learning rate, and look for labels or inputs that are not numbers. The model "
        "has the best weights from before."
    )


def _save_batches(batches: list[Batch], path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {f"{i}.{k}": v.contiguous().cpu() for i, b in enumerate(batches) for k, v in b.items()}
    with disk.whole_files(path.parent, "The batch") as part:
        save_file(tensors, part / path.name)


def _length(batches: Any) -> int | None:
    return len(batches) if hasattr(batches, "__len__") else None


def versions() -> dict[str, str]:
    """Of the packages that decide the digits."""
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "accelerate", "numpy")}


@contextlib.contextmanager
def _only_errors() -> Iterator[None]:
    """accelerate says where it writes each file, which nobody asked."""
    import logging

    logger = logging.getLogger("accelerate")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
