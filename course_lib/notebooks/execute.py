"""Run one notebook in a fresh kernel, offline, and measure it.

Offline means: every connection to an address outside this machine is refused inside the kernel and in the processes
it starts, and HF_HUB_OFFLINE=1. The progress file of the learner is not touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Runs first in every Python that the kernel starts (as sitecustomize). An audit hook sees each connection of Python's
# own sockets; what bypasses them (downloads in compiled code) is stopped by HF_HUB_OFFLINE.
_REFUSE_NETWORK = """
import sys

_LOCAL = ("127.", "localhost", "::1", "0.0.0.0")

def _refuse(event, arguments):
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host and not str(host).startswith(_LOCAL):
        raise ConnectionRefusedError(f"The course runs offline here: a connection to {host} was refused.")

sys.addaudithook(_refuse)
"""


@dataclass
class Run:
    """What came of running a notebook."""

    notebook: Any  # with its outputs, also when a cell failed
    error: str | None  # the failing cell and its message, or None
    seconds: float
    peak_bytes: int  # of the kernel and its children


def execute(notebook: Any, folder: Path, timeout: int = 300, threads: int | None = None) -> Run:
    """Run a notebook top to bottom in a fresh kernel.

    Args:
        notebook: an nbformat notebook; its outputs are filled in.
        folder: the folder in which it runs.
        timeout: seconds for one cell.
        threads: how many threads torch and its like may use; None leaves it to them.
    """
    import nbclient
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None  # else a cell that is not reached keeps its old outputs
    with tempfile.TemporaryDirectory() as scratch:
        environment = offline_environment(Path(scratch))
        if threads is not None:
            environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        # The kernel of this environment, never one of the same name that the user has in the home folder.
        here = KernelSpecManager(kernel_dirs=[str(Path(sys.prefix) / "share" / "jupyter" / "kernels")])
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=here)
        client = nbclient.NotebookClient(
            notebook,
            km=manager,
            timeout=timeout,
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            extra_arguments=["--IPKernelApp.log_level=40"],  # no word that loopback is not encrypted
        )
        start, error = time.perf_counter(), None
        with _memory_of_kernel(manager) as peak:
            try:
                # cleanup_kc: a manager of our own is otherwise left running, with all the memory of its kernel
                client.execute(env={**os.environ, **environment}, cleanup_kc=True)
            except nbclient.exceptions.CellExecutionError as failed:
                error = f"{_failing_line(notebook)}: {failed.ename}: {failed.evalue}"
            except (nbclient.exceptions.CellTimeoutError, nbclient.exceptions.DeadKernelError) as failed:
                error = str(failed).strip().splitlines()[0]
        return Run(notebook, error, time.perf_counter() - start, peak[0])


def _failing_line(notebook: Any) -> str:
    """The cell that failed, and its line where the traceback shows one."""
    failed = [c for c in notebook.cells if any(o.output_type == "error" for o in c.get("outputs", []))]
    cell = failed[-1]  # cells before it may have been meant to raise; none after it ran
    trace = "\n".join(next(o for o in cell.outputs if o.output_type == "error").traceback)
    arrow = re.search(r"-+> *\d+ +(.*)", re.sub(r"\x1b\[[0-9;]*m", "", trace))
    return f"cell {cell.id}" + (f", at `{arrow[1].strip()}`" if arrow else "")


def offline_environment(scratch: Path) -> dict[str, str]:
    """Environment variables for a process that must not use the network; `scratch` holds what they point to."""
    (scratch / "sitecustomize.py").write_text(_REFUSE_NETWORK, encoding="utf-8")
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(scratch), os.environ.get("PYTHONPATH")])),
        "HF_HUB_OFFLINE": "1",
        "COURSE_PROGRESS": str(scratch / "progress.json"),
        "PYTHONHASHSEED": "0",
        "IPYTHONDIR": str(scratch / "ipython"),  # start-up files of the user's own IPython stay out
    }


@contextlib.contextmanager
def _memory_of_kernel(manager: Any) -> Iterator[list[int]]:
    """Watch the memory of a manager's kernel and its children; yields a list whose one number is the peak in bytes."""
    import psutil

    peak, stop = [0], threading.Event()
    seen: dict[int, float] = {}  # when each child was met first

    def watch() -> None:
        while not stop.wait(0.1):
            pid = getattr(manager.provisioner, "pid", None)
            if pid is None:
                continue
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it may end while we look
                kernel = psutil.Process(pid)
                # Between fork and exec a child is a copy of its parent for a moment, and has no memory of its own.
                now = time.monotonic()
                children = kernel.children(recursive=True)
                family = [kernel, *(child for child in children if now - seen.setdefault(child.pid, now) > 0.5)]
                peak[0] = max(peak[0], sum(process.memory_info().rss for process in family))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()
