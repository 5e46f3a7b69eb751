"""Attention to click through in a notebook: a layer, a head, a token; and a picture of the last choice when it is saved.

The controls are ipywidgets; the picture is an ordinary output beside them, drawn anew at each choice. A saved notebook
keeps that picture. Of the controls nothing is left without a kernel, so JupyterLab's note about them is hidden.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from course_lib.graphs.attention import all_heads, head_view, hidden_view, one_text, token_words
from course_lib.graphs.frontends import frontend
from course_lib.plots import Picture

_MARK = "data-attention-picture"
# JupyterLab gives this class to the place of a widget that has no kernel any more, and to nothing else at this depth.
_HIDE_DEAD_CONTROLS = (
    f"<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child [{_MARK}]) > .jp-OutputArea-output.jupyter-widgets"
    "{display:none}</style>"
)


class AttentionView:
    """What `attention_view` gives; the last value of a cell shows it.

    `picture` is that of the present choice: `layer`, `head`, `token` (None: all) and `view`, one of `views`. `controls` is the widget, made when a person first sees it or asks for it. `choose` does by code what a click does.
    """

    def __init__(
        self, attentions: Any, tokens: Sequence[Any], hidden_states: Any, text: int, mask: Any, layer: int, head: int
    ) -> None:
        self.weights, self.tokens = one_text(attentions, tokens, text, mask)
        self._given = {"tokens": tokens, "text": text, "mask": mask}
        found = getattr(attentions, "hidden_states", None) if hidden_states is None else hidden_states
        self._hidden = found
        self.views = ("matrix", "lines", "all heads", *(("hidden states",) if found is not None else ()))
        self.layer, self.head, self.token, self.view = layer, head, None, "matrix"
        self.picture: Picture = self._draw()
        self._handle: Any = None
        self._controls: Any = None

    @property
    def caption(self) -> str:
        """What the chosen token looks at, or how to choose one."""
        if self.view not in ("matrix", "lines"):
            return ""
        if self.token is None:
            return "No token is chosen: all are shown."
        return token_words(self.weights[self.layer, self.head], self.tokens, self.token)

    def choose(
        self, layer: int | None = None, head: int | None = None, token: int | None = None, view: str | None = None
    ) -> AttentionView:
        """Change the choice; what is left out stays. `token=-1` chooses none.

        Raises:
            ValueError: a layer, head, token or view that is not there; the choice stays as it was.
        """
        before = (self.layer, self.head, self.token, self.view)
        if view is not None:
            if view not in self.views:
                raise ValueError(f"view='{view}' is not known: choose {', '.join(self.views)}.")
            self.view = view
        self.layer = self.layer if layer is None else layer
        self.head = self.head if head is None else head
        if token is not None:
            self.token = None if token < 0 else token
        try:
            self.picture = self._draw()
        except ValueError:
            self.layer, self.head, self.token, self.view = before
            raise
        if self._handle is not None:
            self._handle.update(_Shown(self))
        return self

    def _draw(self) -> Picture:
        if self.view == "hidden states":
            return hidden_view(self._hidden, **self._given)
        stacked = [layer[None] for layer in self.weights]
        if self.view == "all heads":
            return all_heads(stacked, self.tokens)
        return head_view(stacked, self.tokens, self.layer, self.head, style=self.view, token=self.token)

    @property
    def controls(self) -> Any:
        """The widget: layer, head, kind of picture, and the tokens to click on."""
        if self._controls is None:
            self._controls = self._make_controls()
        return self._controls

    def _make_controls(self) -> Any:
        import ipywidgets

        layers, heads = self.weights.shape[:2]
        narrow = ipywidgets.Layout(width="170px")
        layer = ipywidgets.Dropdown(
            options=[(str(n + 1), n) for n in range(layers)],
            value=self.layer % layers,
            description="layer",
            layout=narrow,
        )
        head = ipywidgets.Dropdown(
            options=[(str(n + 1), n) for n in range(heads)], value=self.head % heads, description="head", layout=narrow
        )
        view = ipywidgets.Dropdown(options=self.views, value=self.view, description="picture", layout=ipywidgets.Layout(width="220px"))  # fmt: skip
        token = ipywidgets.ToggleButtons(
            options=[("all tokens", -1), *((word, place) for place, word in enumerate(self.tokens))],
            value=-1 if self.token is None else self.token,
            style={"button_width": "auto"},
            tooltips=["all of them", *(f"token {place}: {word}" for place, word in enumerate(self.tokens))],
        )

        def changed(change: Any) -> None:
            if change["new"] is not None:
                self.choose(layer.value, head.value, token.value, view.value)

        for control in (layer, head, view, token):
            control.observe(changed, names="value")
        return ipywidgets.VBox([ipywidgets.HBox([layer, head, view]), token])

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if frontend() == "person":
            # Where no kernel is, ipywidgets would leave a line of code in the controls' place.
            bundle = {
                **self.controls._repr_mimebundle_(),
                "text/plain": "[Run this cell to choose a layer, a head, a token.]",
            }
            display(bundle, raw=True)
            self._handle = display(_Shown(self), display_id=True)
        else:
            display(self.picture)

    def __repr__(self) -> str:
        return f"[Attention of {self.weights.shape[0]} layers x {self.weights.shape[1]} heads over {len(self.tokens)} tokens]"


class _Shown:
    """The picture of a view with its caption, as it stands under the controls."""

    def __init__(self, view: AttentionView) -> None:
        self._view = view

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        shown = self._view.picture._repr_mimebundle_()
        caption = f"<p>{html.escape(self._view.caption)}</p>" if self._view.caption else ""
        page = f"{_HIDE_DEAD_CONTROLS}<div {_MARK}>{caption}{shown['text/html']}</div>"
        return {"text/html": page, "text/plain": shown["text/plain"]}


def attention_view(
    attentions: Any,
    tokens: Sequence[Any],
    hidden_states: Any = None,
    text: int = 0,
    mask: Any = None,
    layer: int = 0,
    head: int = 0,
) -> AttentionView:
    """Attention to click through: choose a layer, a head, a kind of picture and a token.

    Where nobody could click, in a notebook that a program runs, it is the picture alone.

    Args:
        attentions: L of (B, N, T, T), or the model's output.
        tokens: the T tokens of the text, or a list of them for each text of the batch.
        hidden_states: L + 1 of (B, T, H), for one more kind of picture; the model's output brings its own.
        text: which text of the batch.
        mask: the attention mask (B, T) or (T,); padding is left out.
        layer, head: the first choice, positions from 0.

    Raises:
        ValueError: no attention weights, other tokens than T, a layer, head or text that is not there.
    """
    return AttentionView(attentions, tokens, hidden_states, text, mask, layer, head)
