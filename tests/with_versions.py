"""Run the suite with other versions than those of constraints.txt: `make test-lowest`, `make test-newest`.

lowest: every direct dependency at the lower bound that pyproject.toml gives, everything else as new as these allow.
newest: everything as new as pip finds it.
Each has an environment of its own, .course/venv-lowest or .course/venv-newest, which is brought up to date on every
call. Further arguments go to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("test",)


def lower_bounds() -> list[str]:
    """A pin of its lower bound for every direct dependency that has one; netron has none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for name in EXTRAS for line in project["optional-dependencies"][name])]
    found = []
    for requirement in map(Requirement, lines):
        bound = next((part.version for part in requirement.specifier if part.operator == ">="), None)
        found += [f"{requirement.name}=={bound}"] if bound else []
    return sorted(set(found))


def main(which: str, arguments: list[str]) -> int:
    """Make the environment, install, run pytest; returns its exit code."""
    if which not in ("lowest", "newest"):
        print(f"{which!r} is not known: lowest or newest.", file=sys.stderr)
        return 2
    venv = ROOT / ".course" / f"venv-{which}"  # where git, the tests and copies of the course do not look
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--upgrade", "-e", f".[{','.join(EXTRAS)}]"]
    if which == "lowest":
        pins = venv / "lowest.txt"
        pins.write_text("\n".join(lower_bounds()) + "\n", encoding="utf-8")
        install += ["-c", str(pins)]
    else:
        install += ["--upgrade-strategy", "eager"]
    subprocess.run(install, check=True, cwd=ROOT)
    frozen = subprocess.run([str(python), "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    (venv / "installed.txt").write_text(frozen, encoding="utf-8")
    print(f"Versions: {venv / 'installed.txt'}", flush=True)
    suite = [str(python), "-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *arguments]
    return subprocess.run(suite, check=False, cwd=ROOT).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:]))
