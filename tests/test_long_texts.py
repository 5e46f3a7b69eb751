import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.long_texts import cut, windows_of_text, windows_of_texts

CLS, SEP = 101, 102


def row(n: int) -> list[int]:
    return [CLS, *range(1, n + 1), SEP]


def test_without_special_tokens_one_token_is_enough() -> None:
    assert cut([5, 6, 7], 1, special=False) == [5]
    for how in ("head", "tail", "head+tail"):
        with pytest.raises(ValueError, match=r"max_tokens is 0; at least 1 token of the text is needed\."):
            cut([5, 6, 7], 0, how, special=False)


def test_each_way_of_cutting_keeps_what_it_says() -> None:
    assert cut(row(11), 6) == [CLS, 1, 2, 3, 4, SEP]
    assert cut(row(11), 6, "tail") == [CLS, 8, 9, 10, 11, SEP]
    assert cut(row(11), 6, "head+tail") == [CLS, 1, 9, 10, 11, SEP]
    assert cut(row(11), 6, "head+tail", head=3) == [CLS, 1, 2, 3, 11, SEP]
    assert cut(row(11), 6, "head+tail", head=4) == cut(row(11), 6)
    assert cut(row(11), 6, "head+tail", head=0) == cut(row(11), 6, "tail")


def test_the_beginning_and_the_end_have_the_sizes_of_the_paper() -> None:
    kept = cut(row(1009), 512, "head+tail")
    assert kept[1:129] == list(range(1, 129)) and kept[129:-1] == list(range(1009 - 381, 1010))


@given(st.integers(0, 40), st.integers(3, 23), st.sampled_from(["head", "tail", "head+tail"]))
def test_a_cut_text_is_as_long_as_allowed_and_in_order(n: int, max_tokens: int, how: str) -> None:
    kept = cut(row(n), max_tokens, how)
    assert len(kept) == min(n + 2, max_tokens)
    assert kept[0] == CLS and kept[-1] == SEP and kept[1:-1] == sorted(set(kept[1:-1]))


def test_the_windows_are_those_of_the_docstring() -> None:
    assert windows_of_text(row(7), 6, 2) == [[CLS, 1, 2, 3, 4, SEP], [CLS, 3, 4, 5, 6, SEP], [CLS, 5, 6, 7, SEP]]


@given(st.integers(0, 60), st.integers(3, 17), st.integers(0, 14))
def test_windows_hold_every_token_and_share_the_stride(n: int, max_tokens: int, stride: int) -> None:
    if stride >= max_tokens - 2:
        with pytest.raises(ValueError, match="smaller stride"):
            windows_of_text(row(n), max_tokens, stride)
        return
    bodies = [window[1:-1] for window in windows_of_text(row(n), max_tokens, stride)]
    assert all(len(body) == max_tokens - 2 for body in bodies[:-1])
    rebuilt = bodies[0] + [token for body in bodies[1:] for token in body[stride:]]
    assert rebuilt == list(range(1, n + 1))  # without gap, and no window that says nothing new
    assert all(len(body) > stride for body in bodies[1:])


def test_scores_of_windows_become_scores_of_texts() -> None:
    windows = windows_of_texts([row(7), row(2), row(5)], 6, 2)
    assert windows.text_of == [0, 0, 0, 1, 2, 2] and windows.texts == 3
    assert [len(r) for r in windows.columns["attention_mask"]] == [len(r) for r in windows.columns["input_ids"]]
    scores = torch.tensor([[1.0, -3], [2, -1], [6, -2], [4, 4], [1, 0], [2, 1]])
    assert windows.join(scores).tolist() == [[3, -2], [4, 4], [1.5, 0.5]]
    assert windows.join(scores, "max").tolist() == [[6, -1], [4, 4], [2, 1]]  # also where all are below 0


def test_what_makes_no_sense_is_said_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="how is 'middle'"):
        cut(row(3), 5, "middle")
    with pytest.raises(ValueError, match="max_tokens is 2"):
        cut(row(3), 2)
    with pytest.raises(ValueError, match="head is 5"):
        cut(row(9), 6, "head+tail", head=5)
    with pytest.raises(ValueError, match="1 windows and 2 rows"):
        windows_of_texts([row(3)]).join(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="how is 'sum'"):
        windows_of_texts([row(3)]).join(torch.zeros(1, 3), "sum")
