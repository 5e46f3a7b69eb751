"""Netron inside the notebook: an ONNX file as a graph to walk through, and what stays of it in the saved notebook.

Netron is a page with a small server behind it. `show` starts the server on 127.0.0.1 alone, for a folder that holds
nothing but the model, and ends it with the kernel. A saved notebook has no server, so a static picture stands under the
frame; it is also what a release of netron that has grown too old (180 days), a notebook run without a screen, or a
browser on another computer leave in view.

Where there is a network, Netron's page calls two services outside: one that tells the country, one that counts visits.
`show` says so under the frame.
"""

from __future__ import annotations

import atexit
import contextlib
import html
import importlib.util
import json
import logging
import os
import re
import shutil
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_lib.errors import SetupError
from course_lib.graphs.frontends import frontend
from course_lib.graphs.onnx_files import read_onnx, weight_files
from course_lib.plots import Table

_HOST = "127.0.0.1"
_OUTSIDE = (
    "Where there is a network, Netron's page first asks an outside service for your country (ipinfo.io), without a question. "
    "For a country in Europe, or without an answer, it then waits for your consent; the graph comes after the click. After "
    "that it reports its use to another service (Google Analytics). The model is read from this computer."
)
_AWAY = (
    "Netron does not answer any more: run this cell again, in a browser on the computer where the kernel runs. What stays "
    "is here:"
)


@dataclass
class NetronView:
    """Netron's frame with a static picture under it; the last value of a cell shows it.

    `address` is (host, port) of the running server, None where there is only the picture; `remark` says why.
    """

    name: str
    picture: str  # HTML
    height: int
    address: tuple[str, int] | None = None
    remark: str = ""
    _folder: Path | None = field(default=None, repr=False)

    @property
    def url(self) -> str | None:
        """Where Netron is, or None."""
        return f"http://{self.address[0]}:{self.address[1]}" if self.address else None

    def close(self) -> None:
        """Stop the server and remove its folder; twice does no harm."""
        if self.address is not None:
            import netron

            with _quiet_netron():
                netron.stop(self.address)
            self.address, self.remark = None, "Netron was closed."
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)  # Windows keeps a file that a page is just reading
            self._folder = None
        atexit.unregister(self.close)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        told = f"<p>{html.escape(self.remark)}</p>" if self.remark else ""
        return {"text/html": self._frame() + told + self.picture, "text/plain": repr(self)}

    def _frame(self) -> str:
        if self.url is None:
            return ""
        # The frame is made only where the server answers: in a notebook that is opened again, a sentence takes its place.
        place = html.escape(self.url, quote=True)
        parts = {"URL": self.url, "HEIGHT": str(int(self.height)), "TITLE": f"Netron: {self.name}", "OUTSIDE": _OUTSIDE, "AWAY": _AWAY}  # fmt: skip
        script = _SCRIPT
        for name, value in parts.items():
            script = script.replace(f"${name}", json.dumps(value).replace("<", "\\u003c"))
        return f'<div data-netron="{place}"></div><script>{script}</script>'

    def __repr__(self) -> str:
        return (
            f"[Netron: {self.name}{f' at {self.url}' if self.url else ''}{'. ' + self.remark if self.remark else ''}]"
        )


_SCRIPT = """
(() => {
  const url = $URL;
  const fill = (...parts) => {
    for (const place of document.querySelectorAll(`[data-netron="${url}"]`)) {
      if (place.childNodes.length) continue;
      place.append(...parts.map((make) => make()));
    }
  };
  const words = (text) => () => Object.assign(document.createElement("p"), { textContent: text });
  const frame = () => {
    const made = document.createElement("iframe");
    Object.assign(made, { src: url, title: $TITLE, width: "100%", height: $HEIGHT });
    made.style.border = "1px solid #8A8A8A";
    keepKeys(made);
    return made;
  };
  // Netron's page takes the keyboard as soon as it is there, and then Ctrl+S or Shift+Enter do not reach the notebook. It is
  // given back, for the first minute, until somebody enters the frame: with the mouse over it, or by the Tab key.
  const keepKeys = (made) => {
    const over = new AbortController();
    const { signal } = over;
    let before = document.activeElement, tabbed = -1000;
    document.addEventListener("focusin", (event) => { if (event.target !== made) before = event.target; }, { signal });
    document.addEventListener("keydown", (event) => { if (event.key === "Tab") tabbed = Date.now(); }, { signal, capture: true });
    window.addEventListener("blur", () => {
      if (document.activeElement !== made) return;
      if (made.matches(":hover") || Date.now() - tabbed < 500) return over.abort();
      setTimeout(() => (before?.isConnected ? before : document.body).focus({ preventScroll: true }));
    }, { signal });
    setTimeout(() => over.abort(), 60000);
  };
  fetch(url, { mode: "no-cors" }).then(() => fill(frame, words($OUTSIDE)), () => fill(words($AWAY)));
})();
"""


def show(path: str | os.PathLike, height: int = 600, picture: Any = None, port: int = 0) -> NetronView:
    """An ONNX file in Netron, inside the notebook.

    Each call has a server of its own, which ends with the kernel or with `.close()`.

    Args:
        path: the .onnx file; weights in files beside it come along.
        height: of the frame, in pixels.
        picture: what stays in the saved notebook, something that a cell can show, such as a picture of the model; by
            default a table of the file's inputs, outputs and operations.
        port: where to listen; 0 for a free port.

    Raises:
        DataError: not an ONNX file, a damaged one, or one whose weights are missing.
        SetupError: a plain terminal, where nothing could be shown; or a port that is taken.
        ValueError: a height or port that is none.
    """
    if height < 1 or not 0 <= port <= 65535:
        raise ValueError(f"height={height}, port={port}: the height is in pixels, the port 0 (a free one) to 65535.")
    path = Path(path)
    model = read_onnx(path)
    files = weight_files(model, path)
    shown = _html_of(picture) if picture is not None else summary(model)._repr_html_()
    view = NetronView(path.name, shown, height)
    where = frontend()
    if where == "terminal":
        raise SetupError(
            f"show() draws Netron inside a notebook, and this is a plain terminal: run it in JupyterLab, or open {path.name} "
            f"in a browser with `python -m netron {path.name} --browse`."
        )
    if where == "program":
        view.remark = "Netron itself appears here when you run this cell in JupyterLab."
        return view
    view.remark = _unusable()
    if not view.remark:
        _serve(view, path, files, port)
    return view


def summary(model: Any) -> Table:
    """What an ONNX model takes and gives, and how often each operation stands in it: a table that needs no program.

    Args:
        model: an `onnx.ModelProto`.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    rows = [("input", value.name, _shape(value)) for value in model.graph.input if value.name not in weights]
    rows += [("output", value.name, _shape(value)) for value in model.graph.output]
    counts = Counter(node.op_type for node in model.graph.node)
    rows += [("operation", name, f"{count} times" if count > 1 else "once") for name, count in counts.most_common()]
    return Table(("", "name", "shape, or how often"), rows)


def _shape(value: Any) -> str:
    from onnx import TensorProto

    kind = value.type.tensor_type
    sizes = [d.dim_param or (str(d.dim_value) if d.HasField("dim_value") else "?") for d in kind.shape.dim]
    return f"({', '.join(sizes)}) {TensorProto.DataType.Name(kind.elem_type).lower()}"


def _html_of(picture: Any) -> str:
    for method in ("_repr_mimebundle_", "_repr_html_"):
        if callable(make := getattr(picture, method, None)):
            made = make()
            found = made.get("text/html") if isinstance(made, dict) else made
            if found:
                return found
    raise ValueError(
        f"picture is a {type(picture).__name__}, which a cell cannot show as HTML; give a picture or a table."
    )


# --------------------------------------------------------------------------------------------------------- the server


def _unusable() -> str:
    """Why netron cannot be used here, and what to do; empty where it can."""
    from course_lib.check import check_netron

    if importlib.util.find_spec("netron") is None:
        return "netron is not installed, so only this picture is shown: python -m pip install netron"
    import netron

    judged = check_netron(netron.__version__)
    if judged.state == "wrong":
        return f"netron {judged.found}, so only this picture is shown: {judged.advice}"
    return ""


def _serve(view: NetronView, path: Path, files: list[str], port: int) -> None:
    """Start a server for this view, from a folder of its own."""
    import netron

    if port and _taken(port):
        raise SetupError(f"Port {port} is taken by another program: give another one, or leave it out for a free one.")
    folder = Path(tempfile.mkdtemp(prefix="bert-course-netron-"))
    view._folder = folder
    try:
        # The page puts the name into an address without quoting it.
        copy = folder / re.sub(r"[^\w.\- ]", "_", path.name)
        _copy(path, copy)
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(path.parent / name, folder / name)
        with _quiet_netron():
            view.address = netron.start(str(copy), address=(_HOST, port), browse=False)
        _keep_apart(view.address)
    except OSError as error:
        view.close()
        raise SetupError(
            f"Netron could not be started for {path.name} ({error.strerror or error}): leave the port out, or free some disk space."
        ) from error
    except BaseException:
        view.close()
        raise
    atexit.register(view.close)


def _copy(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)  # no second copy of 400 MB where both lie on one disk
    except OSError:
        shutil.copyfile(source, target)


def _taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name != "nt":  # there, the option would let two programs have the same port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return True
    return False


def _keep_apart(address: tuple[str, int]) -> None:
    """Give a server a handler class of its own: netron keeps the model in a class that all its servers share."""
    for thread in threading.enumerate():
        server = getattr(thread, "server", None)
        if getattr(thread, "address", None) == address and hasattr(server, "RequestHandlerClass"):
            shared = server.RequestHandlerClass
            server.RequestHandlerClass = type(shared.__name__, (shared,), {"content": shared.content})


@contextlib.contextmanager
def _quiet_netron() -> Iterator[None]:
    """Netron logs to stderr where it starts and stops, and sets up the root logger where nobody did."""
    root, own, silent = logging.getLogger(), logging.getLogger("netron.server"), logging.NullHandler()
    before = own.level
    root.addHandler(silent)
    own.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        own.setLevel(before)
        root.removeHandler(silent)
