"""From the sources in notebooks/src to the notebooks that learners open, and the running of both.

source.py      a py:percent source -> the learner's notebook and the solutions notebook, nothing executed
execute.py     one notebook in a fresh kernel, the network refused, seconds and memory measured
outputs.py     what a committed output must not hold
build.py       sources -> executed notebooks; the check that they have not drifted apart
statements.py  the links of docs/sources.md to the cells
course.py      every notebook without a screen, in parallel where memory allows, and a table
"""

from collections.abc import Sequence
from pathlib import Path

from course_lib.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "notebooks" / "src"
NOTEBOOKS = ROOT / "notebooks"
SOLUTIONS = NOTEBOOKS / "solutions"


def chosen_by_name(paths: Sequence[Path], beginnings: Sequence[str]) -> list[Path]:
    """Those whose names begin with one of `beginnings` ("01", "01_bert_outputs"); all when there are none.

    Raises:
        DataError: nothing begins so.
    """
    for beginning in beginnings:
        if not any(path.name.startswith(beginning) for path in paths):
            names = ", ".join(path.stem for path in paths)
            raise DataError(f"No notebook begins with {beginning!r}; there are {names}.")
    return [path for path in paths if not beginnings or path.name.startswith(tuple(beginnings))]
