"""course_lib.datasets.splits: three parts of one file, the same ones every time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.datasets import Example, part_of, stable_split

MANY = [Example(f"text {i}", i % 3) for i in range(5000)]


def test_the_parts_have_about_their_shares_and_nothing_is_lost():
    parts = stable_split(MANY)
    assert sum(map(len, parts)) == 5000
    for part, share in zip(parts, (0.8, 0.1, 0.1), strict=True):
        assert abs(len(part) / 5000 - share) < 0.02  # 3.5 standard deviations or more
    assert [e for e in MANY if e in set(parts[1])] == parts[1]  # in their order


@given(st.text(), st.integers(0, 9), st.integers(0, 9))
def test_a_text_lands_in_the_same_part_whatever_its_label_and_neighbours(text, one, other):
    alone = [len(part) for part in stable_split([Example(text, one)])]
    among = [sum(e.text == text for e in part) for part in stable_split([*MANY[:7], Example(text, other), *MANY[7:9]])]
    assert [bool(count) for count in alone] == [bool(count) for count in among]


def test_the_part_of_a_text_never_changes():
    parts = [part_of(f"text {i}") for i in range(30)]
    assert {i: part for i, part in enumerate(parts) if part != "train"} == {4: "dev", 8: "test", 15: "test"}


def test_halves_of_character_pairs_have_a_part_too():
    assert part_of("\ud800") in ("train", "dev", "test")


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.2, -0.1), (0.5, 0.1, 0.1)])
def test_wrong_shares_are_refused(shares):
    with pytest.raises(ValueError, match="three numbers from 0 that sum to 1"):
        stable_split(MANY, shares)


def test_shares_of_0_and_1_are_kept():
    assert [len(part) for part in stable_split(MANY[:50], (1, 0, 0))] == [50, 0, 0]
