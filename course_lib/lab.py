"""Start JupyterLab at a notebook of the course: `python -m course_lib lab`.

The server runs in this process, so that whatever ends it (Ctrl-C, a closed terminal, a test's terminate) ends all of it.
It listens on this machine alone and keeps Jupyter's usual token. The learner's own Jupyter settings stay as they are: the
few that the course changes (no question about news, a workspace of its own) lie in the repository's `.course` folder.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from course_lib.errors import SetupError

FIRST_NOTEBOOK = "00_start_here.ipynb"
_USUAL_PORT = 8888

# JupyterLab's defaults, overridden: a fresh one asks in a pop-up whether to fetch news, asks the network for updates, and
# opens a Markdown page as source text. It reckons with a guessed height for the cells out of view, so that a link to a
# cell of a long notebook ends beside it; with "defer" all cells are drawn.
_OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "defer"},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m course_lib lab`."""
    parser.add_argument("--no-browser", action="store_true", help="print the address and open no browser")
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"listen on port N (default: the first free from {_USUAL_PORT})"
    )
    parser.add_argument(
        "--notebook", default=FIRST_NOTEBOOK, metavar="NAME", help=f"what to open (default: {FIRST_NOTEBOOK})"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line asked for; returns the exit code."""
    return start_lab(arguments.notebook, browser=not arguments.no_browser, port=arguments.port)


def start_lab(notebook: str = FIRST_NOTEBOOK, browser: bool = True, port: int | None = None) -> int:
    """Run JupyterLab on 127.0.0.1 until it is stopped, with the repository as its root. Returns its exit code.

    notebook: a file name in notebooks/, opened first. browser: open one. port: listen there; None for the first free
    port from 8888 on.
    Raises SetupError where JupyterLab or the notebook is missing, or the port cannot be had.
    """
    root = Path(__file__).resolve().parent.parent
    if importlib.util.find_spec("jupyterlab") is None:
        raise SetupError(
            f"JupyterLab is not installed for this Python ({sys.executable}): run `make lab`, or activate the environment "
            "in which the course was installed."
        )
    if not (root / "notebooks" / notebook).is_file():
        raise SetupError(
            f"There is no notebook {notebook} in {root / 'notebooks'}: bring it back with `git restore notebooks`, or start "
            "from a complete copy of the course."
        )
    if port is not None:
        _check_port(port)
    options = [*lab_options(root, notebook, browser, port, _settings_folder(root)), *_encryption()]
    print(f"JupyterLab starts with notebooks/{notebook}. To end it, press Ctrl-C here.", flush=True)
    with _own_kernels_first():
        return _launch(options)


def lab_options(root: Path, notebook: str, browser: bool, port: int | None, settings: Path) -> list[str]:
    """JupyterLab's command-line options. settings: the folder that `_settings_folder` made."""
    options = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={_USUAL_PORT if port is None else port}",
        f"--ServerApp.port_retries={50 if port is None else 0}",
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/notebooks/{quote(notebook)}",
        f"--LabApp.app_settings_dir={settings / 'settings'}",
        f"--LabApp.workspaces_dir={settings / 'workspaces'}",
        "--ServerApp.answer_yes=True",  # Ctrl-C is meant: end without a question
        "--log-level=WARN",  # of thirty lines at the start, the one with the address is of use
        "--LabApp.log_level=WARN",
    ]
    if not browser:
        options.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # as in a container; the server is reachable from this machine alone
    return options


def _settings_folder(root: Path) -> Path:
    """The folder with the course's settings for JupyterLab, made if need be; a temporary one where root is read-only."""
    folder = root / ".course" / "jupyterlab"
    try:
        (folder / "settings").mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="bert-course-"))
        (folder / "settings").mkdir()
    (folder / "workspaces").mkdir(exist_ok=True)
    overrides = folder / "settings" / "overrides.json"
    text = json.dumps(_OVERRIDES, indent=2) + "\n"
    if not overrides.is_file() or overrides.read_text(encoding="utf-8") != text:
        temporary = overrides.with_name("overrides.json.new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(overrides)
    return folder


def _check_port(port: int) -> None:
    """Raise SetupError where the port is no port, or another program listens on it."""
    if not 1 <= port <= 65535:
        raise SetupError(f"Port {port} is not possible: give a number from 1 to 65535, or leave it out.")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name != "nt":  # there, the option would let two programs have the same port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SetupError(
                f"Port {port} cannot be had ({error.strerror}): give another number, or leave it out for the first free one."
            ) from error


def _encryption() -> list[str]:
    """The option that encrypts what server and kernel say to each other, where this system's zmq can do that.

    Without it, ipykernel warns in the terminal that others on the machine may listen.
    """
    import zmq

    return ["--KernelManager.transport_encryption=auto"] if zmq.has("curve") else []


@contextlib.contextmanager
def _own_kernels_first() -> Iterator[None]:
    """Make Jupyter look for kernels in this environment before all other places.

    A "python3" kernel that another Python left in the user's folder, or that JUPYTER_PATH names, would otherwise run the
    notebooks without the course's packages.
    """
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(
        [str(Path(sys.prefix) / "share" / "jupyter"), *([before] if before else [])]
    )
    try:
        yield
    finally:
        if before is None:
            del os.environ["JUPYTER_PATH"]
        else:
            os.environ["JUPYTER_PATH"] = before


def _launch(options: list[str]) -> int:
    """Run the server until it ends."""
    from jupyterlab.labapp import LabApp

    try:
        LabApp.launch_instance(options)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 0
    return 0
