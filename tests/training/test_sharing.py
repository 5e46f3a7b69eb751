"""How the processes of a run are connected, on computers that are not at hand."""

import accelerate
import pytest
import torch

from course_lib.training import sharing


@pytest.mark.parametrize(
    ("card", "processes", "on_processors"),
    [("cpu", 1, False), ("cpu", 2, True), ("cuda", 2, False), ("mps", 1, False), ("mps", 2, True)],
)
def test_processes_without_cards_that_talk_to_each_other_meet_on_the_processors(
    monkeypatch, card, processes, on_processors
) -> None:
    """Else accelerate would let each process train for itself, without a word."""
    asked = {}
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setattr(accelerate, "Accelerator", lambda **given: asked.update(given))
    monkeypatch.setattr(sharing, "chosen_device", lambda: torch.device(card))
    sharing.accelerator()
    assert asked["cpu"] is on_processors


@pytest.mark.parametrize(("processes", "where"), [(1, "meta"), (2, "cpu")])
def test_a_model_goes_to_the_chosen_device_where_it_trains_alone(monkeypatch, processes, where) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setattr(sharing, "chosen_device", lambda: torch.device("meta"))
    assert sharing.on_accelerator(torch.nn.Linear(2, 2)).weight.device.type == where
