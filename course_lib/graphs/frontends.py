"""Who looks at the outputs: a person at a notebook, a program that runs the notebook, or a plain terminal."""

from __future__ import annotations

import sys
from typing import Literal

Frontend = Literal["person", "program", "terminal"]


def frontend() -> Frontend:
    """Where this code runs.

    A kernel is told with each cell whether its front end could ask the user something. JupyterLab and its kin can;
    a program that runs notebooks without a screen (`make course`, a build) cannot. Live things, a server or a widget,
    are for a person; everybody else gets what lasts.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "terminal"
    return "person" if getattr(kernel, "_allow_stdin", True) else "program"
