"""What a failed call has to say: which expression, which layer, which tensors, which rule, and what mends it."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass
from pathlib import Path

from course_lib.shapes.places import in_cell

_WIDTH = 100


@dataclass(frozen=True)
class Operand:
    """One tensor of the failing call."""

    name: str
    shape: tuple[int, ...]
    meaning: tuple[str, ...]  # of each dimension
    dtype: str = ""
    role: str = ""  # the argument's name: input, weight, target ...
    count: int = 1  # more than one: a list of tensors of this shape

    def __str__(self) -> str:
        size = f"({', '.join(map(str, self.shape))}{',' if len(self.shape) == 1 else ''})"
        many = f"{self.count} tensors of " if self.count > 1 else ""
        return f"{self.name}: {many}{size}"

    @property
    def dimensions(self) -> str:
        """Each size with its meaning: `32 batch, 64 tokens`."""
        return ", ".join(f"{n} {meaning}".strip() for n, meaning in zip(self.shape, self.meaning, strict=True))


@dataclass(frozen=True)
class Fix:
    """One way to mend it. `verified`: it was tried on tensors of the same shapes, and the call ran."""

    code: str
    why: str
    verified: bool
    earlier: bool = False  # it takes the place of an earlier line, or mends a layer that was called before


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """Why a call failed. `print` it, or let a notebook show it."""

    error: BaseException
    operation: str
    module: str | None
    expression: str
    location: tuple[str, int]
    tensors: tuple[Operand, ...]
    cause: str
    fixes: tuple[Fix, ...] = ()
    layer: str = ""  # the layer as torch prints it: Linear(in_features=442, out_features=3, bias=True)
    inside: str = ""  # the failing call in a library's own code, where the user's expression only led to it
    origins: tuple[str, ...] = ()  # where the numbers come from
    notes: tuple[str, ...] = ()  # where torch's text misleads
    known: bool = True  # did a rule recognise the mistake? otherwise the cause is torch's own sentence

    @property
    def place(self) -> str:
        """File and line, short."""
        file, line = self.location
        if not file:
            return "called directly"
        name = file if file.startswith("<") else Path(file).name
        return f"cell, line {line}" if in_cell(file) else f"{name}, line {line}"

    @property
    def where(self) -> str:
        """The layer: `layer net.2: Linear(...)`; empty where no layer failed."""
        if self.module is None and not self.layer:
            return ""
        named = f"layer {self.module}" if self.module is not None else "layer"
        return f"{named}: {self.layer}" if self.layer else f"in {self.module}"

    def __repr__(self) -> str:
        return str(self)  # so that a console shows the explanation, and not the fields

    def __str__(self) -> str:
        lines = [f"{self.expression}   ({self.place})"]
        lines += [text for text in (self.where, self.inside and f"inside the library: {self.inside}") if text]
        if self.tensors:
            names = [str(t) for t in self.tensors]
            width = min(max(map(len, names)), 48)
            lines += ["", *(f"  {n:<{width}}   {t.dimensions}" for n, t in zip(names, self.tensors, strict=True))]
        lines += ["", *_wrap("Why: ", self.cause)]
        lines += [line for text in self.origins for line in _wrap("     ", text)]
        lines += [line for text in self.notes for line in _wrap("Note: ", text)]
        for number, fix in enumerate(self.fixes, start=1):
            code = fix.code.splitlines()
            state = "tried, runs" if fix.verified else "not tried"
            lines += ["", f"Fix {number} ({state}): {code[0]}"]
            lines += [f"{'':>{len(f'Fix {number} ({state}): ')}}{line}" for line in code[1:]]
            lines += _wrap("     ", fix.why)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        # Borders alone are coloured, so that the text keeps the colour of the page's theme, light or dark.
        line = "border-left:3px solid #d9822b;padding:0.2em 0 0.2em 0.9em;margin:0.4em 0;line-height:1.45"
        cell = "text-align:left;padding:0.1em 1em 0.1em 0;background:transparent;border:none;vertical-align:top"
        code = "background:transparent;color:inherit;padding:0"
        parts = [f'<div role="note" aria-label="Why this call failed" style="{line}">']
        parts.append(
            f'<div><code style="{code};font-weight:bold">{_e(self.expression)}</code> ({_e(self.place)})</div>'
        )
        if self.where:
            parts.append(f"<div>{_e(self.where)}</div>")
        if self.inside:
            parts.append(f'<div>inside the library: <code style="{code}">{_e(self.inside)}</code></div>')
        if self.tensors:
            rows = "".join(
                f'<tr style="background:transparent"><td style="{cell}"><code style="{code}">{_e(str(t))}</code></td>'
                f'<td style="{cell}">{_e(t.dimensions)}</td></tr>'
                for t in self.tensors
            )
            parts.append(f'<table style="margin:0.5em 0;border:none;color:inherit">{rows}</table>')
        parts.append(f"<div><b>Why:</b> {_e(self.cause)}</div>")
        parts += [f"<div>{_e(text)}</div>" for text in self.origins]
        parts += [f"<div><i>Note:</i> {_e(text)}</div>" for text in self.notes]
        for number, fix in enumerate(self.fixes, start=1):
            colour = "#2e9e5b" if fix.verified else "#8a8a8a"
            state = "tried, runs" if fix.verified else "not tried"
            parts.append(
                f'<div style="border-left:3px solid {colour};padding-left:0.7em;margin-top:0.5em"><b>Fix {number}</b> '
                f'({state})<pre style="{code};margin:0.1em 0;white-space:pre-wrap">{_e(fix.code)}</pre>'
                f"{_e(fix.why)}</div>"
            )
        return "".join([*parts, "</div>"])


def _e(text: str) -> str:
    return html.escape(text)


def _wrap(lead: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=lead, subsequent_indent="     ", break_long_words=False) or [lead]
