import re
from pathlib import Path

import pytest
import torch

from course_lib.devices import bfloat16_instructions, chosen_device, native_bfloat16
from course_lib.errors import CourseError


@pytest.mark.parametrize("name", ["amx_bf16", "avx512_bf16", "bf16", "sve_bf16"])
def test_each_bfloat16_instruction_makes_a_cpu_native(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_tile": True, name: True})
    assert native_bfloat16(torch.device("cpu"))


def test_other_instructions_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # amx_tile alone is a matrix unit without bfloat16; a False entry is a capability that is not there
    found = {"avx512_f": True, "amx_tile": True, "avx512_bf16": False}
    assert bfloat16_instructions(found) == []
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert not native_bfloat16(torch.device("cpu"))
    assert not native_bfloat16(torch.device("meta"))


@pytest.mark.parametrize(
    ("asked", "nvidia", "chosen"),
    [(None, False, "cpu"), (None, True, "cuda"), ("cpu", True, "cpu"), (" meta ", True, "meta"), ("", False, "cpu")],
)
def test_the_variable_decides_where_models_train_and_without_it_an_nvidia_card(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, nvidia: bool, chosen: str
) -> None:
    if asked is None:
        monkeypatch.delenv("COURSE_DEVICE", raising=False)
    else:
        monkeypatch.setenv("COURSE_DEVICE", asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: nvidia)
    assert chosen_device().type == chosen


def test_apples_card_is_taken_by_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda *a, **k: torch.device("mps"))
    assert chosen_device().type == "cpu"


@pytest.mark.parametrize("asked", ["gpu", "cuda:99", "one two"])
def test_a_device_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv("COURSE_DEVICE", asked)
    with pytest.raises(CourseError, match=f"COURSE_DEVICE is '{asked}'"):
        chosen_device()


SOURCES = sorted((Path(__file__).resolve().parents[1] / "notebooks" / "src").glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_whose_models_would_go_to_a_card_keeps_to_the_processor(source: Path) -> None:
    """Its cells mix them with tensors of its own, and its text speaks of the numbers of a processor."""
    text = source.read_text(encoding="utf-8")
    cells = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    moves = re.search(r"\b(fine_tune|train_classifier|pretrain|FineTuned\.load|leaderboard)\(", cells)
    set_at = cells.find('os.environ["COURSE_DEVICE"] = "cpu"')
    assert not moves or 0 <= set_at < moves.start()
