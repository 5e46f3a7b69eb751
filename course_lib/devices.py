"""Processor or graphics card: which one trains, and what it can do by itself."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

# Keys of torch.cpu.get_capabilities() for instructions that reckon in bfloat16, on x86 and on Arm.
_BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")


VARIABLE = "COURSE_DEVICE"


def chosen_device() -> torch.device:
    """Where `fine_tune`, `train_classifier`, `pretrain` and the command line put a model.

    The environment variable COURSE_DEVICE decides: "cpu", "cuda", "cuda:1", "mps" or another name of torch's. Without it,
    an NVIDIA card (or an AMD one, which torch also calls cuda) if there is one, else the processor. Apple's cards are
    taken only by name, because this library has not been run on one.

    Raises:
        CourseError: COURSE_DEVICE names nothing that torch knows, or that is here.
    """
    import torch

    from course_lib.errors import CourseError

    asked = os.environ.get(VARIABLE, "").strip()
    if not asked:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise CourseError(
            f"{VARIABLE} is {asked!r}, and there is no such device here; give cpu, or cuda where there is an NVIDIA card, or "
            "leave the variable out."
        ) from error
    return device


def bfloat16_instructions(capabilities: Mapping[str, Any]) -> list[str]:
    """The bfloat16 instructions among a CPU's capabilities (torch.cpu.get_capabilities()); none: it is emulated."""
    return [name for name in _BFLOAT16 if capabilities.get(name)]


def native_bfloat16(device: torch.device) -> bool:
    """Does the device reckon in bfloat16 itself? Where it does not, bfloat16 is slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(bfloat16_instructions(torch.cpu.get_capabilities()))


def reckoning(model: nn.Module, precision: str) -> AbstractContextManager[None]:
    """Within it, the model's matrix products are in this precision: "float32", "bfloat16", or "auto".

    "auto" is bfloat16 where the model's device has it natively. Weights, sums and losses stay in float32.
    """
    import torch

    weight = next(model.parameters(), None)
    device = torch.device("cpu") if weight is None else weight.device
    half = precision == "bfloat16" or (precision == "auto" and native_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


def machine() -> str:
    """This machine in a few words: processor, cores, memory; and the graphics card, if there is one."""
    import psutil
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    memory = psutil.virtual_memory().total / 2**30
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}{card}"
