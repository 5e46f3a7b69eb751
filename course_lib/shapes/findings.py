"""What preflight reports: one finding a mistake, with its place and its evidence."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Finding:
    """One silent mistake.

    `kind` is one of `KINDS`; `module` is the dotted path of the layer in whose forward it happens ("" for the model's
    own forward, None where it could not be found out); `message` says what was seen, with numbers, and what mends it;
    `evidence` holds the numbers.
    """

    kind: str
    module: str | None
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        place = "" if self.module is None else f" in {self.module or 'the model itself'}"
        return f"{self.kind}{place}: {self.message}"


class Findings(list):
    """A list of findings that shows itself; empty means that nothing was found.

    `skipped` says which experiments could not be made on this model, each with the error that stopped it.
    """

    def __init__(self, found: Iterable[Finding] = (), skipped: Iterable[str] = ()) -> None:
        super().__init__(found)
        self.skipped = list(skipped)

    def __str__(self) -> str:
        lines = [f"{number}. {finding}" for number, finding in enumerate(self, 1)] or ["preflight: nothing found."]
        return "\n".join(lines + [f"Not tried: {reason}" for reason in self.skipped])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>Not tried: {html.escape(reason)}</p>" for reason in self.skipped)
        if not self:
            return "<p>preflight: nothing found.</p>" + notes
        rows = "".join(
            f'<tr><td style="text-align:left"><b>{html.escape(f.kind)}</b></td>'
            f'<td style="text-align:left">{html.escape("?" if f.module is None else f.module or "the model itself")}</td>'
            f'<td style="text-align:left;max-width:46em;white-space:normal">{html.escape(f.message)}</td></tr>'
            for f in self
        )
        return f"<table><caption>preflight: silent mistakes</caption><thead><tr><th>kind</th><th>layer</th><th>what was seen</th></tr></thead><tbody>{rows}</tbody></table>{notes}"


KINDS = {
    "raises": "the model does not run on these inputs at all",
    "view_for_permute": "view or reshape puts numbers into other places, where dimensions should have been swapped",
    "softmax_dimension": "a softmax adds up to one along a dimension along which nothing is added up",
    "softmax_twice": "a loss that does its own softmax or sigmoid gets probabilities",
    "loss_input": "a loss that wants log-probabilities gets something else",
    "broadcast": "(B, 1) and (B,) became (B, B)",
    "batch_first": "a layer takes the dimension of the texts for the dimension of the tokens",
    "batch_leak": "the answer for one example depends on the others in its batch",
    "batch_of_one": "a single example gives another shape or another answer than in a batch",
    "equal_sizes": "it works only because two sizes happen to be equal",
    "padding": "the answer depends on how much padding there is, or on what stands in it",
    "mask_ignored": "the mask changes nothing, and padding is read",
    "mask_kind": "the mask is used but does not hide what it should",
    "nan": "the answer holds NaN",
    "remembers": "the answer depends on earlier calls",
    "dropout_in_eval": "dropout is active in evaluation mode",
    "random_in_eval": "the answer is drawn at random in evaluation mode",
    "layer_in_forward": "a layer with weights is made in every forward pass, so it never trains",
    "unregistered_layer": "weights that model.parameters() does not list, so no optimizer sees them",
    "no_gradient": "parameters that get no gradient",
}
