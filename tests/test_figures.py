import io

import numpy as np
import pytest
from PIL import Image

from course_lib import figures, plots

WORDS = ["Ann", "\x00", "likes", "unaffable", "people"]
TOKENS = ["[CLS]", "ann", "likes", "una", "##ffa", "##ble", "people", "[SEP]"]
IDS = [None, 0, 2, 3, 3, 3, 4, None]


def confusion() -> plots.Picture:
    return figures.confusion_matrix([[5, 2, 0], [1, 7, 3], [0, 0, 0]], ["体育", "音乐", "sport"], "In three classes")


def curve() -> plots.Picture:
    runs = {"BERT": {30: [0.5, 0.6, 0.55], 300: [0.8, 0.82]}, "words": {30: [0.4], 300: [0.7]}}
    return figures.learning_curve(runs, baseline=("majority", 0.3))


def history() -> plots.Picture:
    train = {step: 2 / step for step in range(1, 41)}
    return figures.history(train, {20: 0.9, 40: 0.8}, {20: 0.7, 40: 0.75}, "macro_f1", kept=40, title="A run")


def schedules() -> plots.Picture:
    return figures.schedules({"constant_with_warmup": [0, 1e-5, 2e-5, 2e-5], "linear": [0, 2e-5, 1e-5, 0]})


def spans() -> plots.Picture:
    return figures.span_heat_map([0.1, 0.2, 0.7, 0], [0.6, 0.1, 0.1, 0.2], ["the", "ar", "##no", "河"], 2)


def pieces() -> plots.Picture:
    return figures.word_pieces(WORDS, TOKENS, IDS, [None, "B-PER", "O", "O", None, -100, "O", None], "Words and tokens")


MAKERS = (confusion, curve, history, schedules, spans, pieces)
ALTS = {
    "confusion": "Confusion matrix of 3 classes and 18 examples; right, on the diagonal: 12. The most frequent mistake is "
    "'音乐' taken for 'sport', 3 times.",
    "curve": "Accuracy on dev over training examples: BERT goes from 0.55 at 30 to 0.81 at 300 (3 runs each); words goes "
    "from 0.4 at 30 to 0.7 at 300 (1 run each). A dashed line, majority, stands at 0.3.",
    "history": "The training loss goes from 2 at step 1 to 0.05 at step 40; the loss on dev goes from 0.9 at step 20 to "
    "0.8 at step 40, lowest at step 40 (0.8); the macro f1 on dev goes from 0.7 at step 20 to 0.75 at step 40; a dashed "
    "line marks step 40, whose weights were kept.",
    "schedules": "Learning rates over the steps: constant with warmup begins with 0, is highest at step 2 with 2e-05, and "
    "ends with 2e-05 at step 3; linear begins with 0, is highest at step 1 with 2e-05, and ends with 0 at step 3.",
    # 'the' to 'the' has 0.1 * 0.6 and 'no' to '河' 0.7 * 0.2; 'no' to 'the', 0.7 * 0.6, ends before it starts.
    "spans": "Probabilities of start and end for 4 tokens; the best pair, framed, is '##no 河', from token 3 to 4, with 0.14. "
    "Pairs that no answer can have are left white.",
    "pieces": "5 words above and 8 tokens below, joined by lines. 1 of the words has several tokens: 'unaffable' is una, "
    "##ffa, ##ble. Without a token: 1. A label stands under 4 tokens; the others have none.",
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, plots.Picture]:
    return {make.__name__: make() for make in MAKERS}


@pytest.mark.parametrize("name", [make.__name__ for make in MAKERS])
def test_every_figure_says_what_is_seen(drawn, name: str) -> None:
    assert drawn[name].alt == ALTS[name]


@pytest.mark.parametrize("name", [make.__name__ for make in MAKERS])
def test_every_figure_is_light_fits_a_notebook_and_nothing_is_cut_off(drawn, name: str) -> None:
    image = Image.open(io.BytesIO(drawn[name].png)).convert("L")
    assert drawn[name].width <= 800 and len(drawn[name].png) < 100_000
    assert len(image.getcolors()) > 5
    pixels = np.asarray(image)
    assert (pixels > 200).mean() > 0.3  # mostly light
    edges = np.concatenate([pixels[:2].ravel(), pixels[-2:].ravel(), pixels[:, :2].ravel(), pixels[:, -2:].ravel()])
    assert edges.min() > 200


@pytest.mark.parametrize("make", MAKERS)
def test_chinese_labels_become_code_points_without_a_font(make, monkeypatch) -> None:
    monkeypatch.setattr(plots, "find_cjk_font", lambda: None)
    make()  # warnings are errors in this suite: a missing glyph would warn


def test_the_words_of_the_caller_come_first() -> None:
    own = "What I want to say about it"
    assert figures.confusion_matrix([[1]], ["a"], alt=own).alt == own
    assert figures.schedules({"a": [1.0]}, alt=own).alt == own


def test_a_matrix_without_mistakes_and_with_many_classes() -> None:
    assert figures.confusion_matrix([[7]], ["only"]).alt == (
        "Confusion matrix of 1 class and 7 examples; right, on the diagonal: 7."
    )
    many = figures.confusion_matrix(np.eye(23, dtype=int) * 1234, [f"class {i}" for i in range(23)])
    assert many.width <= 800 and "23 classes and 28,382 examples" in many.alt


def test_a_run_may_have_a_training_loss_alone() -> None:
    assert figures.history({3: 0.5}).alt == "The training loss goes from 0.5 at step 3 to 0.5 at step 3."


def test_a_long_sentence_goes_on_in_further_rows() -> None:
    one = figures.word_pieces(["word"] * 5, ["word"] * 5, list(range(5)))
    many = figures.word_pieces(["word"] * 41, ["word"] * 41, list(range(41)))
    assert many.width == one.width
    assert Image.open(io.BytesIO(many.png)).height > 3 * Image.open(io.BytesIO(one.png)).height
    assert figures.word_pieces(["\x00"], ["[CLS]", "[SEP]"], [None, None]).alt.endswith("Without a token: 1.")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: figures.confusion_matrix([[1, 2]], ["a"]), r"shape \(1, 2\) and there are 1 names"),
        (lambda: figures.learning_curve({}), "at least one number of examples"),
        (lambda: figures.learning_curve({"a": {3: []}}), "at least one score"),
        (lambda: figures.history({}), "train_loss is empty"),
        (lambda: figures.schedules({"a": []}), "at least one learning rate"),
        (lambda: figures.span_heat_map([1.0], [1.0], ["a", "b"]), "for 2 tokens"),
        (lambda: figures.span_heat_map([0.0] * 41, [0.0] * 41, ["a"] * 41), "1 to 40 tokens"),
        (lambda: figures.word_pieces(["a"], ["a", "b"], [0]), "2 tokens, 1 word ids and no labels"),
        (lambda: figures.word_pieces(["a"], ["a", "b"], [0, 1]), "words up to 1, but there are 1"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
