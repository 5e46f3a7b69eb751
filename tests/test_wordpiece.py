"""course_lib.wordpiece: a vocabulary of one's own."""

import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer, BertTokenizer

from course_lib.corpus import read_corpus
from course_lib.errors import DataError
from course_lib.wordpiece import LONGEST_WORD, SPECIALS, train_wordpiece

DATA = Path(__file__).parents[1] / "data"
ENGLISH = ["The cat sat on the mat.", "The cats sat; the cat's hat!"] * 4
CHINESE = ["今天天气很好，我们去公园。", "用BERT模型，很好！", "公园的天气（今天）"] * 4


@pytest.fixture(scope="module")
def stories():
    return list(read_corpus(DATA / "stories_en" / "train.txt").sentences())


@pytest.fixture(scope="module")
def tokenizer(stories):
    return train_wordpiece(stories, 600)


def test_the_special_pieces_come_first_and_the_size_is_kept(tokenizer):
    assert len(tokenizer) == tokenizer.vocab_size == 600
    assert tokenizer.convert_ids_to_tokens(list(range(5))) == list(SPECIALS)
    ids = [tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id]  # fmt: skip
    assert ids == [0, 1, 2, 3, 4]
    assert sorted(tokenizer.get_vocab().values()) == list(range(600))


def test_it_is_a_bert_tokenizer_that_reads_its_texts_without_unknown_pieces(tokenizer, stories):
    assert isinstance(tokenizer, BertTokenizer)
    encoded = tokenizer("The cat", "A mat")
    assert encoded["input_ids"][0] == 2 and encoded["input_ids"].count(3) == 2
    assert encoded["token_type_ids"][-1] == 1
    assert tokenizer.model_max_length == 512
    texts = stories[:200]
    assert not any(1 in ids for ids in tokenizer(texts)["input_ids"])
    for text in texts[:20]:
        pieces = tokenizer.tokenize(text)
        assert "".join(piece.removeprefix("##") for piece in pieces) == "".join(text.lower().split())


def test_frequent_words_are_one_piece_and_rare_ones_several(tokenizer):
    assert tokenizer.tokenize("The and was") == ["the", "and", "was"]
    assert len(tokenizer.tokenize("onomatopoeia")) > 3


@pytest.mark.parametrize("loader", [AutoTokenizer, BertTokenizer])
def test_what_is_saved_is_loaded_with_the_same_ids(tokenizer, stories, loader, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = loader.from_pretrained(tmp_path)
    texts = [*stories[:100], "Zoë naïve 中文 🤗 [MASK] x" + "y" * 120]
    assert again(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert (again.mask_token_id, again.model_max_length) == (4, 512)


def test_the_same_texts_give_the_same_bytes_in_any_order_and_any_process(stories, tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "one")
    train_wordpiece(reversed(stories), 600).save_pretrained(tmp_path / "two")
    script = (
        "import sys\nfrom course_lib.corpus import read_corpus\nfrom course_lib.wordpiece import train_wordpiece\n"
        "train_wordpiece(read_corpus(sys.argv[1]).sentences(), 600).save_pretrained(sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(DATA / "stories_en" / "train.txt"), str(tmp_path / "three")], check=True
    )
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert len({(tmp_path / folder / name).read_bytes() for folder in ("one", "two", "three")}) == 1


def test_lower_case_and_accents_as_in_the_uncased_bert_or_as_written():
    texts = ["Café Über Zoë cafe"] * 5
    low, cased = train_wordpiece(texts, 100), train_wordpiece(texts, 100, lowercase=False)
    assert low.tokenize("CAFÉ café") == ["cafe", "cafe"]
    assert cased.tokenize("Café cafe") == ["Café", "cafe"]
    assert cased.tokenize("CAFÉ") == ["[UNK]"]


def test_chinese_characters_are_pieces_of_their_own_without_twins():
    tokenizer = train_wordpiece(CHINESE, 100)
    assert tokenizer.tokenize("今天用BERT模型。") == ["今", "天", "用", "bert", "模", "型", "。"]
    chinese = [piece for piece in tokenizer.get_vocab() if any("\u4e00" <= c <= "\u9fff" for c in piece)]
    assert all(len(piece) == 1 for piece in chinese)
    assert set(chinese) == {c for text in CHINESE for c in text if "\u4e00" <= c <= "\u9fff"}


def test_rare_characters_have_no_piece_and_ascii_always_has():
    texts = ["我们来了" * 50] * 10 + ["罕 q"]
    tokenizer = train_wordpiece(texts, 50, alphabet=0.999)
    assert tokenizer.tokenize("我罕q") == ["我", "[UNK]", "q"]
    assert "罕" in train_wordpiece(texts, 50, alphabet=1).get_vocab()


def test_words_too_long_for_the_tokenizer_teach_nothing():
    texts = [*ENGLISH, "xyz" * LONGEST_WORD] * 3
    assert train_wordpiece(texts, 60).get_vocab() == train_wordpiece(ENGLISH * 3, 60).get_vocab()


def test_fewer_pieces_where_nothing_is_left_to_join():
    tokenizer = train_wordpiece(["ab"] * 3, 50)
    assert list(tokenizer.get_vocab()) and sorted(tokenizer.get_vocab()) == sorted([*SPECIALS, "a", "b", "##b", "ab"])
    assert "ab" not in train_wordpiece(["ab"] * 3, 50, min_count=4).get_vocab()


def test_a_stream_a_string_and_special_names_in_the_text_will_do():
    assert train_wordpiece((text for text in ENGLISH), 60).get_vocab() == train_wordpiece(ENGLISH, 60).get_vocab()
    assert train_wordpiece(" ".join(ENGLISH), 60).get_vocab() == train_wordpiece(ENGLISH, 60).get_vocab()
    assert len(train_wordpiece(["the [MASK] is [PAD]"] * 3, 60).convert_ids_to_tokens([4])) == 1


@pytest.mark.parametrize("texts", [[], [""], [" \n\t"], ["x" * 101]])
def test_no_texts(texts):
    with pytest.raises(DataError, match=r"^There are no texts to learn a vocabulary from.*\.$"):
        train_wordpiece(texts, 100)


def test_a_size_below_the_alphabet_says_the_least_that_will_do():
    with pytest.raises(DataError, match=r"^A vocabulary of 10 does not hold .* ask for \d+ or more") as caught:
        train_wordpiece(ENGLISH, 10)
    least = int(str(caught.value).split("ask for ")[1].split()[0])
    assert len(train_wordpiece(ENGLISH, least)) == least
    with pytest.raises(DataError):
        train_wordpiece(ENGLISH, least - 1)


@pytest.mark.parametrize("wrong", [{"alphabet": 0}, {"alphabet": 1.1}, {"min_count": 0}])
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match=r"alphabet is|min_count is"):
        train_wordpiece(ENGLISH, 100, **wrong)
