"""What the outputs of a committed notebook must not hold, and the tidying that is done before they are kept."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from course_lib.notebooks import ROOT

MAY_RAISE = "raises-exception"  # the tag that JupyterLab knows: a run goes on after such a cell
MAX_BYTES = 1_000_000

_COLOUR_CODE = re.compile(r"\x1b\[[0-9;]*m")
_PATH = re.compile(
    r"/(?:home|Users|root|tmp|var/folders|work|opt|mnt|private)/[\w.~-]+(?:/[\w.~-]+)*|[A-Za-z]:\\\\?Users\\|site-packages|dist-packages"
)
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
_WARNING = re.compile(r"\b\w*Warning: |\bwarnings?\.warn\(")
_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT = re.compile(r"""\balt=(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_MIN_IMAGE_BYTES = 600  # an empty white figure is smaller


def tidy(notebook: Any) -> None:
    """Make outputs independent of machine and moment: one stream each, no timings, short tracebacks."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept: list[Any] = []
        for output in cell.outputs:
            previous = kept[-1] if kept else None
            if output.output_type == "stream" and previous and previous.get("name") == output.name:
                previous.text += output.text
                continue
            if output.output_type == "error":
                output.traceback = short_traceback(output)
            kept.append(output)
        cell.outputs = kept


def short_traceback(output: Any) -> list[str]:
    """The traceback of an error output with the frames of the notebook's own cells alone, then the message.

    IPython gives one text a frame; those of a cell begin with `Cell In[...]`.
    """
    plain = [_COLOUR_CODE.sub("", part) for part in output.traceback]
    own = [part for part in plain if part.lstrip().startswith("Cell In[")]
    skipped = sum(part.lstrip().startswith(("File ", "~")) for part in plain)
    if skipped:
        own.append(f"... {skipped} frames inside libraries are left out here ...\n")
    message = f"{output.ename}: {output.evalue}"
    return ["Traceback (your own lines only)", *own, message]


def problems(notebook: Any, name: str) -> list[str]:
    """Everything in the outputs of a notebook that must not be committed, a sentence each."""
    found: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        where = f"{name}, cell {cell.id}"
        may_raise = MAY_RAISE in cell.metadata.get("tags", [])
        if cell.execution_count is None and cell.source.strip():
            found.append(f"{where}: was not executed")
        if may_raise:
            found += [f"{where}: {what}" for what in _not_as_meant(cell)]
        for output in cell.outputs:
            found += [f"{where}: {what}" for what in _output_problems(output, may_raise)]
    return found


def _not_as_meant(cell: Any) -> list[str]:
    """A cell that is to fail says with which error: `raises="RuntimeError: the beginning of its message"`."""
    meant = cell.metadata.get("raises")
    raised = [f"{o.ename}: {o.evalue}" for o in cell.outputs if o.output_type == "error"]
    if not meant:
        return [f"is tagged {MAY_RAISE} and does not say what it raises; add raises=... beside the tag"]
    if not raised:
        return [f"is to raise {meant!r} and raises nothing"]
    return [] if raised[0].startswith(meant) else [f"is to raise {meant!r} and raises {raised[0][:200]!r}"]


def _output_problems(output: Any, may_raise: bool) -> list[str]:
    found: list[str] = []
    text = json.dumps(output, ensure_ascii=False)
    if len(text) > MAX_BYTES:
        found.append(f"an output of {len(text) / 1e6:.1f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB")
    if output.output_type == "error" and not may_raise:
        found.append(f"error output {output.ename}: {output.evalue}")
    if output.output_type == "stream" and output.name == "stderr":
        found.append(f"text on stderr: {output.text.strip()[:200]!r}")
    readable = _readable(output)
    for path in sorted(set(_PATH.findall(readable)) | {p for p in (str(ROOT), str(Path.home()), sys.prefix) if p in readable}):  # fmt: skip
        found.append(f"a path of this machine: {path!r}")
    if _ADDRESS.search(readable):
        found.append("a memory address, which changes at every run")
    if output.output_type != "error" and _WARNING.search(readable):
        found.append(f"a warning: {readable.strip()[:200]!r}")
    return found + _image_problems(output)


def _readable(output: Any) -> str:
    """The words of an output, without the data of images."""
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return "\n".join(output.traceback)
    parts = [v if isinstance(v, str) else json.dumps(v) for k, v in output.data.items() if not k.startswith("image/p")]
    return re.sub(r"base64,[A-Za-z0-9+/=]+", "base64,", "\n".join(parts))


def _image_problems(output: Any) -> list[str]:
    data = output.get("data", {})
    found: list[str] = []
    for kind in ("image/png", "image/jpeg", "image/svg+xml"):
        if kind in data and not output.metadata.get(kind, {}).get("alt"):
            found.append(f"an {kind} output, on which JupyterLab shows no alternative text: use course_lib.plots")
    for tag in _IMAGE.findall(str(data.get("text/html", ""))):
        alt = _ALT.search(tag)
        if not alt or not (alt[1] or alt[2] or "").strip():
            found.append("an image without alternative text")
        inline = re.search(r"base64,([A-Za-z0-9+/=]*)", tag)
        if inline and len(inline[1]) < _MIN_IMAGE_BYTES:
            found.append("an empty figure")
    return found
