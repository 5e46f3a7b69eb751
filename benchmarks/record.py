"""A result that can be quoted: the numbers, with the machine, the date, the versions and the command."""

from __future__ import annotations

import datetime
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from course_lib.devices import machine

RESULTS = Path(__file__).parent / "results"


def versions() -> dict[str, str]:
    """Of Python and of what is measured."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("torch", "transformers")}}


def where_and_when() -> dict[str, str]:
    """Where and when something was measured, for one run among others too."""
    return {"machine": machine(), "date": datetime.date.today().isoformat()}


def write(name: str, **numbers: Any) -> Path:
    """Keep the numbers of one benchmark in results/NAME.json, with where and how they were measured."""
    found = {
        **numbers,
        **where_and_when(),
        "command": f"python -m benchmarks {name}",
        "versions": versions(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
