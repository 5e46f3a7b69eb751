import pytest
import torch

from course_lib.devices import bfloat16_instructions, native_bfloat16


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
