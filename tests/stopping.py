"""Somebody who presses stop, for tests of runs that go on afterwards."""

from course_lib.training import Step, Watcher


class StopAt(Watcher):
    """Presses stop after a step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, step: Step) -> None:
        if step.step == self.at:
            raise KeyboardInterrupt
