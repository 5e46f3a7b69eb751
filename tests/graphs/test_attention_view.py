import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.graphs import attention_explorer
from course_lib.graphs.attention import all_heads, head_view, hidden_view, one_text
from course_lib.graphs.attention_explorer import attention_view
from course_lib.plots import COLOURS

L, B, N, T, H = 3, 2, 5, 7, 10
TOKENS = ["[CLS]", "the", "cat", "##s", "我", "。", "[SEP]"]


def weights(layers: int = L, tokens: int = T, heads: int = N, batch: int = B) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    return tuple(
        (2 * torch.randn(batch, heads, tokens, tokens, generator=generator)).softmax(-1) for _ in range(layers)
    )


def pixels(picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)


def pixels_of_colour(picture, colour: str) -> int:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(pixels(picture) - wanted).max(-1) < 40).sum())


@pytest.mark.parametrize("make", ["ours", "transformers"])
def test_outputs_of_both_libraries_are_understood_as_they_are(make: str) -> None:
    sizes = {
        "vocab_size": 20,
        "hidden_size": H,
        "num_hidden_layers": L,
        "num_attention_heads": N,
        "intermediate_size": 8,
    }
    ids = torch.tensor([[1, 5, 6, 7, 8, 9, 2]])
    if make == "ours":
        model = BertModel(BertConfig(**sizes)).eval()
    else:
        import transformers

        model = transformers.BertModel(transformers.BertConfig(**sizes, attn_implementation="eager")).eval()
    outputs = model(input_ids=ids, output_attentions=True, output_hidden_states=True)
    found, words = one_text(outputs, TOKENS)
    assert words == TOKENS
    np.testing.assert_array_equal(found, torch.stack(outputs.attentions)[:, 0].detach())
    assert "layer 2, head 5" in head_view(outputs, TOKENS, 1, 4).alt
    assert "3 layers" in hidden_view(outputs, TOKENS).alt
    assert attention_view(outputs, TOKENS).views == ("matrix", "lines", "all heads", "hidden states")
    assert attention_view(outputs.attentions, TOKENS).views == ("matrix", "lines", "all heads")


def test_the_words_of_a_head_tell_what_each_token_looks_at_most() -> None:
    given = torch.zeros(1, 1, 3, 3)
    given[0, 0] = torch.tensor([[0.2, 0.7, 0.1], [0.0, 0.1, 0.9], [1.0, 0.0, 0.0]])
    alt = head_view([given], ["a", "b", "c"]).alt
    assert "a at b (0.70), b at c (0.90), c at a (1.00)" in alt
    assert head_view([given], ["a", "b", "c"], token=0).alt.endswith("a looks at b (0.70), a (0.20), c (0.10).")


@pytest.mark.parametrize("style", ["matrix", "lines"])
def test_each_head_has_its_own_picture_and_a_chosen_token_is_marked(style: str) -> None:
    given = weights()
    one, other = head_view(given, TOKENS, 0, 0, style=style), head_view(given, TOKENS, 2, 4, style=style)
    assert one.png != other.png
    chosen = head_view(given, TOKENS, 0, 0, style=style, token=2)
    assert pixels_of_colour(chosen, COLOURS[1]) > 100 > pixels_of_colour(one, COLOURS[1])


def test_padding_is_left_out_and_the_text_is_chosen() -> None:
    given = weights()
    mask = torch.tensor([[1] * T, [1] * 4 + [0] * 3])
    for tokens in (TOKENS, TOKENS[:4], [TOKENS, TOKENS]):
        found, words = one_text(given, tokens, text=1, mask=mask)
        assert words == TOKENS[:4]
        np.testing.assert_array_equal(found, torch.stack(given)[:, 1, :, :4, :4])
    assert one_text(given, TOKENS, text=-1, mask=mask)[1] == TOKENS[:4]
    assert head_view(given, TOKENS, text=0).png != head_view(given, TOKENS, text=1).png
    assert "over 4 tokens" in all_heads(given, TOKENS, text=1, mask=mask[1]).alt


def test_all_heads_stand_in_a_grid_with_the_tokens_where_they_fit() -> None:
    few, many = weights(2, T, 2), weights(2, 64, 12)
    small, large = all_heads(few, TOKENS), all_heads(many, ["词", "word"] * 32)
    assert "4 small heat maps over 7 tokens, 2 rows of layers by 2 columns of heads" in small.alt
    # white between the matrices, as many gaps as there are heads but one
    row = pixels(large)[pixels(large).shape[0] // 3]
    inside = np.flatnonzero((row < 250).any(-1))
    gaps = np.diff(inside)
    assert (gaps > 1).sum() >= 11
    # the small one has letters, so other words are another picture; the large one has no room for them
    assert small.png != all_heads(few, [*TOKENS[:-1], "[END]"]).png
    assert large.png == all_heads(many, ["字", "text"] * 32).png


def test_the_most_pointed_and_the_most_even_head_are_named() -> None:
    given = torch.full((2, 1, 3, 4, 4), 0.25)
    given[1, 0, 2] = torch.eye(4)
    given[0, 0, 1] = 0.5 * torch.eye(4) + 0.125
    alt = all_heads(tuple(given), list("abcd")).alt
    assert "most pointed is layer 2, head 3: a token gives 1.00" in alt
    assert "most even is layer 1, head 1 with 0.25" in alt


def test_hidden_states_are_measured_by_layer() -> None:
    first = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    turned = torch.tensor([[[0.0, 3.0], [0.0, 1.0]]])
    alt = hidden_view([first, turned], ["a", "b"]).alt
    assert "The largest value, 1.00, is that of 'a' at layer 1; the smallest is 0.00" in alt
    length = hidden_view([first, turned], ["a", "b"], measure="length").alt
    assert "The largest value, 3.00, is that of 'a' at layer 1" in length
    likeness = hidden_view([first, turned], ["a", "b"], measure="likeness").alt
    assert "0.00 in the embeddings and 1.00 after the last layer" in likeness


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: head_view((), TOKENS), 'attn_implementation="eager"'),
        (lambda: head_view(None, TOKENS), "output_attentions=True"),
        (lambda: head_view((None, None), TOKENS), "no attention weights"),
        (lambda: head_view(weights()[0], TOKENS), "L tensors"),
        (lambda: head_view(weights(), TOKENS[:5]), "5 tokens are given, and the model saw 7"),
        (lambda: head_view(weights(), "the cat"), "tokens is one string"),
        (lambda: head_view(weights(), [TOKENS]), "Tokens of 1 texts are given for a batch of 2"),
        (lambda: head_view(weights(), TOKENS, layer=3), "layer=3 is not there: positions go from 0 to 2, which is layer 3"),
        (lambda: head_view(weights(), TOKENS, head=-6), "head=-6 is not there"),
        (lambda: head_view(weights(), TOKENS, text=2), "text=2 is not there"),
        (lambda: head_view(weights(), TOKENS, token=7), "token=7 is not there"),
        (lambda: head_view(weights(), TOKENS, style="circle"), "style='circle'"),
        (lambda: head_view(weights(), TOKENS, mask=torch.ones(2, 5)), r"mask has the shape \(2, 5\)"),
        (lambda: head_view(weights(), TOKENS, mask=torch.zeros(2, 7)), "leaves no token"),
        (lambda: hidden_view(None, TOKENS), "output_hidden_states=True"),
        (lambda: hidden_view([torch.ones(2, 7)], TOKENS), r"\(B, T, H\)"),
        (lambda: hidden_view([torch.ones(1, 7, 3)], TOKENS, measure="size"), "measure='size'"),
        (lambda: attention_view(weights(), TOKENS, layer=9), "layer=9 is not there"),
        (lambda: attention_view(weights(), TOKENS).choose(view="hidden states"), "view='hidden states' is not known"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_sentence(make, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        make()
    assert "\n" not in str(raised.value)


# --------------------------------------------------------------------------------------------------------- interactive


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list:
    """What the cell shows, in order; updates of an output are kept in its place."""
    shown: list = []

    class Handle:
        def __init__(self, place: int) -> None:
            self.place = place

        def update(self, thing) -> None:
            shown[self.place] = thing._repr_mimebundle_()

    def display(thing, display_id: bool = False, raw: bool = False):
        shown.append(thing._repr_mimebundle_() if display_id or hasattr(thing, "png") else thing)
        return Handle(len(shown) - 1)

    import IPython.display

    monkeypatch.setattr(IPython.display, "display", display)
    return shown


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_explorer, "frontend", lambda: "person")


def test_a_click_draws_anew_the_picture_that_stays(displayed: list, person) -> None:
    view = attention_view(weights(), TOKENS, layer=1)
    view._ipython_display_()
    bundle, shown = displayed
    selectors, tokens = view.controls.children
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == view.controls.model_id
    assert bundle["text/plain"] == "[Run this cell to choose a layer, a head, a token.]"
    assert [c.description for c in selectors.children] == ["layer", "head", "picture"]
    assert selectors.children[0].value == 1 and "layer 2, head 1" in shown["text/plain"]
    before = shown["text/html"]
    tokens.value = 2  # a click on "cat"
    assert displayed[1]["text/html"] != before and "<p>cat looks at" in displayed[1]["text/html"]
    selectors.children[1].value = 4
    assert "layer 2, head 5" in displayed[1]["text/plain"]
    selectors.children[2].value = "all heads"
    assert "15 small heat maps" in displayed[1]["text/plain"]
    assert (view.layer, view.head, view.token, view.view) == (1, 4, 2, "all heads")
    tokens.value = -1
    assert view.token is None


def test_the_tokens_to_click_on_are_all_there_even_twice(displayed: list, person) -> None:
    view = attention_view(weights(1, 3), ["猫", "the", "the"])
    assert [label for label, _ in view.controls.children[1].options] == ["all tokens", "猫", "the", "the"]
    view.controls.children[1].index = 3
    assert view.token == 2


def test_a_notebook_that_a_program_runs_keeps_the_picture_alone(displayed: list, monkeypatch) -> None:
    monkeypatch.setattr(attention_explorer, "frontend", lambda: "program")
    view = attention_view(weights(), TOKENS)
    view._ipython_display_()
    assert len(displayed) == 1 and displayed[0] == view.picture._repr_mimebundle_()
    assert view._controls is None


def test_a_choice_that_is_not_there_changes_nothing() -> None:
    view = attention_view(weights(), TOKENS)
    before = view.picture
    with pytest.raises(ValueError, match="head=5 is not there"):
        view.choose(layer=1, head=5, view="lines")
    assert (view.layer, view.head, view.view) == (0, 0, "matrix") and view.picture is before
    assert view.choose(layer=1).picture is not before


def test_every_picture_of_64_tokens_stays_under_a_megabyte() -> None:
    given, tokens = weights(12, 64, 12, 1), [f"词{n}" for n in range(64)]
    states = tuple(torch.randn(1, 64, 32) for _ in range(13))
    view = attention_view(given, tokens, states)
    for name in view.views:
        page = attention_explorer._Shown(view.choose(view=name))._repr_mimebundle_()["text/html"]
        assert 5_000 < len(page) < 1_000_000, name
        assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
