"""A result that can be quoted: the numbers, with the machine, the date, the versions and the command."""

from __future__ import annotations

import datetime
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


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


def versions() -> dict[str, str]:
    """Of Python and of what is measured."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("torch", "transformers")}}


def write(name: str, **numbers: Any) -> Path:
    """Keep the numbers of one benchmark in results/NAME.json, with where and how they were measured."""
    found = {
        **numbers,
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "command": f"python -m benchmarks {name}",
        "versions": versions(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
