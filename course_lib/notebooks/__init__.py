"""From the sources in notebooks/src to the notebooks that learners open, and the running of both.

source.py    a py:percent source -> the learner's notebook and the solutions notebook, nothing executed
execute.py   one notebook in a fresh kernel, the network refused, seconds and memory measured
outputs.py   what a committed output must not hold
build.py     sources -> executed notebooks; the check that they have not drifted apart
course.py    every notebook without a screen, in parallel where memory allows, and a table
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "notebooks" / "src"
NOTEBOOKS = ROOT / "notebooks"
SOLUTIONS = NOTEBOOKS / "solutions"
