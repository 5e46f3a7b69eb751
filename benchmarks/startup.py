"""How long does an import take? Each in a fresh process, in turn with a process that imports nothing."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from time import perf_counter

from benchmarks.record import write

IMPORTS = {
    "course_lib": "import course_lib",
    "command line help": "import course_lib.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass",
    "course_lib.exercises": "import course_lib.exercises",
    "course_lib.pretrained": "import course_lib.pretrained",
    "course_lib.plots": "import course_lib.plots",
    "torch": "import torch",
    "transformers.BertModel": "from transformers import BertModel",
}


def seconds(code: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return perf_counter() - start


def main(turns: int = 9) -> None:
    added: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(turns + 1):
        nothing = seconds("pass")
        for name, code in IMPORTS.items():
            added[name].append(seconds(code) - nothing)
    write(
        "startup", added_milliseconds={name: round(1000 * median(t[1:]), 1) for name, t in added.items()}, turns=turns
    )
