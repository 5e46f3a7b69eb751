"""Graphviz's program `dot`, where it is installed: from its language to an SVG."""

from __future__ import annotations

import shutil
import subprocess

from course_lib.errors import SetupError


def run_dot(text: str) -> str:
    """The SVG that Graphviz makes of a text in its language, from `<svg` on.

    Raises:
        SetupError: `dot` is not there, or fails.
    """
    program = shutil.which("dot")
    if program is None:
        raise SetupError("Graphviz's dot is not installed: install Graphviz, or leave dot=True out for our own layout.")
    try:
        done = subprocess.run([program, "-Tsvg"], input=text, capture_output=True, text=True, encoding="utf-8", timeout=60)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"Graphviz's dot failed ({error}): leave dot=True out for our own layout.") from error
    if done.returncode or "<svg" not in done.stdout:
        said = " ".join(done.stderr.split())[:200] or f"exit code {done.returncode}"
        raise SetupError(f"Graphviz's dot failed ({said}): leave dot=True out for our own layout.")
    return done.stdout[done.stdout.index("<svg") :]
