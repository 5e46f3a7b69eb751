"""Vocabularies of characters and of words: order, limits, unknown tokens, saving."""

from __future__ import annotations

import pytest

from course_lib.errors import DataError, ModelFilesError
from course_lib.vocabulary import load_vocabulary, make_vocabulary, usual_unit

CHINESE = ["股价 大涨", "股价大跌了", "大雨"]
ENGLISH = ["Rain, and more rain.", "The rain is gone"]


def test_the_most_frequent_token_is_2_and_equal_ones_are_in_order() -> None:
    tokenizer = make_vocabulary(CHINESE, minimum=1)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert tokens[:3] == ["[PAD]", "[UNK]", "大"]
    assert tokens[3:5] == sorted(["价", "股"])
    assert set(tokens[5:]) == set(" 涨跌了雨")
    assert tokenizer.pad_token_id == 0 and tokenizer.unk_token_id == 1


def test_the_unit_follows_the_texts() -> None:
    assert usual_unit(CHINESE) == "characters" and usual_unit(ENGLISH) == "words"
    assert usual_unit([]) == "words"
    assert "rain" in make_vocabulary(ENGLISH).get_vocab()
    assert "r" in make_vocabulary(ENGLISH, "characters").get_vocab()


def test_words_are_lower_case_with_marks_apart_and_characters_keep_their_case() -> None:
    words = make_vocabulary(ENGLISH, minimum=1)
    assert words.tokenize("RAIN, gone") == ["rain", ",", "gone"]
    assert "Rain" in make_vocabulary(ENGLISH, minimum=1, lowercase=False).get_vocab()
    assert "T" in make_vocabulary(ENGLISH, "characters", minimum=1).get_vocab()


def test_split_chinese_is_read_word_by_word() -> None:
    tokenizer = make_vocabulary(["股价 大涨", "股价 大跌"], "words", minimum=1)
    assert tokenizer.tokenize("大跌 股价") == ["大跌", "股价"]


def test_rare_tokens_are_unknown_and_most_limits() -> None:
    tokenizer = make_vocabulary(CHINESE, minimum=2)
    assert set(tokenizer.get_vocab()) == {"[PAD]", "[UNK]", "大", "股", "价"}
    assert tokenizer(["大雨"])["input_ids"] == [[2, 1]]
    assert len(make_vocabulary(CHINESE, minimum=1, most=4)) == 6


def test_a_text_that_names_a_special_token_does_not_become_one() -> None:
    tokenizer = make_vocabulary(["[PAD] [UNK]", "[PAD]"], "characters", minimum=1)
    ids = tokenizer(["[PAD]"])["input_ids"][0]
    assert len(ids) == 5 and 0 not in ids and 1 not in ids


def test_saved_and_loaded_it_reads_the_same(tmp_path) -> None:
    tokenizer = make_vocabulary([*CHINESE, *ENGLISH], minimum=1)
    tokenizer.save_pretrained(tmp_path)
    again = load_vocabulary(tmp_path)
    texts = ["股价 大雨[PAD]?", "", "RAIN"]
    assert again(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert again(texts)["input_ids"][1] == []


def test_faults_are_said(tmp_path) -> None:
    with pytest.raises(ValueError, match="unit is 'letters'; it may be characters, words, split"):
        make_vocabulary(CHINESE, "letters")
    with pytest.raises(ValueError, match="at least 1"):
        make_vocabulary(CHINESE, minimum=0)
    with pytest.raises(DataError, match="occurs 9 times"):
        make_vocabulary(CHINESE, minimum=9)
    with pytest.raises(ModelFilesError, match=r"has no tokenizer\.json"):
        load_vocabulary(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelFilesError, match="is damaged"):
        load_vocabulary(tmp_path)


def test_split_text_keeps_its_words_their_case_and_their_marks(tmp_path) -> None:
    made = make_vocabulary(["iPhone 涨价 3.5% don't", "iphone  涨价\tC++ !"], "split", minimum=1)
    expected = ["[PAD]", "[UNK]", "涨价", "!", "3.5%", "C++", "don't", "iPhone", "iphone"]
    assert made.convert_ids_to_tokens(range(len(made))) == expected
    assert made.tokenize("IPhone don't , 涨价") == ["[UNK]", "don't", "[UNK]", "涨价"]
    made.save_pretrained(tmp_path)
    assert load_vocabulary(tmp_path)("C++ 涨价 c++")["input_ids"] == [5, 2, 1]
