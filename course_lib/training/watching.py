"""Who is told how a run goes: a progress bar, a plot that grows in a notebook, TensorBoard."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from course_lib.training import disk
from course_lib.training.history import Step, Training


class Watcher:
    """Told of a run's beginning, steps, evaluations and end; each method does nothing until a watcher defines it."""

    def begin(self, steps: int | None, done: int) -> None:
        """The run begins, or goes on after `done` of `steps` steps (None: it is not known how many there will be)."""

    def step(self, step: Step) -> None:
        """A step was done."""

    def evaluated(self, training: Training) -> None:
        """The model was evaluated: the last of training.records."""

    def remark(self, sentence: str) -> None:
        """Something that a person should know."""

    def end(self) -> None:
        """The run is over, one way or another."""


class ProgressBar(Watcher):
    """A bar with loss, rate and the time left, in a terminal or a notebook.

    Args:
        delay: seconds that a run must last before the bar is shown.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.bar: Any = None
        self.scores = ""

    def begin(self, steps: int | None, done: int) -> None:
        """Show the bar."""
        from tqdm.auto import tqdm

        self.bar = tqdm(total=steps, initial=done, unit=" steps", delay=self.delay, dynamic_ncols=True)

    def step(self, step: Step) -> None:
        """One further, with the loss and the rate."""
        self.bar.set_postfix_str(f"loss {step.loss:.3f}, rate {step.learning_rate:.1e}{self.scores}", refresh=False)
        self.bar.update()

    def evaluated(self, training: Training) -> None:
        """Add the scores on dev."""
        scores = training.records[-1].scores
        self.scores = "".join(f", dev {name} {value:.3f}" for name, value in scores.items())

    def remark(self, sentence: str) -> None:
        """Above the bar."""
        from tqdm.auto import tqdm

        tqdm.write(sentence)

    def end(self) -> None:
        """The bar stays as it is."""
        if self.bar is not None:
            self.bar.close()


class LivePlot(Watcher):
    """A figure in the notebook, drawn anew after each evaluation: losses and scores against steps."""

    def __init__(self) -> None:
        self._handle: Any = None

    def evaluated(self, training: Training) -> None:
        """Draw the history as it is now, in the place of the last drawing."""
        from IPython.display import display

        figure = training.figure()
        if self._handle is None:
            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)


class TensorBoard(Watcher):
    """Event files for TensorBoard: `tensorboard --logdir FOLDER` shows them.

    Args:
        folder: where they are written.

    Raises:
        TrainingError: they cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer: Any = None
        self._hook = threading.excepthook

    def begin(self, steps: int | None, done: int) -> None:
        """Open the file."""
        from torch.utils.tensorboard import SummaryWriter

        with self._writing():
            self._writer = SummaryWriter(str(self.folder), purge_step=done + 1 if done else None)
        self._hook, threading.excepthook = threading.excepthook, self._of_thread

    def step(self, step: Step) -> None:
        """Loss and rate."""
        with self._writing():
            self._writer.add_scalar("train/loss", step.loss, step.step)
            self._writer.add_scalar("train/learning_rate", step.learning_rate, step.step)

    def evaluated(self, training: Training) -> None:
        """The scores on dev."""
        record = training.records[-1]
        with self._writing():
            for name, value in record.scores.items():
                self._writer.add_scalar(f"dev/{name}", value, record.step)
            self._writer.flush()

    def end(self) -> None:
        """Close the file."""
        if self._writer is not None:
            try:
                with self._writing():
                    self._writer.close()
            finally:
                threading.excepthook = self._hook

    def _of_thread(self, failed: threading.ExceptHookArgs) -> None:
        """TensorBoard writes in a thread, and raises what that met in the next call: it need not be printed as well."""
        of_its_thread = type(failed.thread).__name__ == "_AsyncWriterThread"
        if not (of_its_thread and failed.exc_value is not None and disk.fault_of(failed.exc_value)):
            self._hook(failed)

    def _writing(self) -> AbstractContextManager[None]:
        return disk.writing("The event files of TensorBoard", self.folder, disk.GO_ON)
