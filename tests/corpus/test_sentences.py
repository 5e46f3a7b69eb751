"""course_lib.corpus.sentences: where a sentence ends."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.corpus import split_sentences

# | stands where one sentence ends and the next begins
SPLIT = """
The cat sat. | It slept.
Is it? | Yes! | It is!! | Really?! | Good.
Mr. Smith, Dr. No and Prof. J. R. R. Tolkien met St. John.
See e.g. the text, i.e. Fig. 3 and Eq. (4), cf. Sec. 2 vs. No. 5 etc. | The end.
He said no. | That was all.
Version 2.0.1 of torch.nn costs $3.50. | Use v. 2 instead. | It needs Python 3. | The rest is new.
"I came." | He left. | "Why?" he asked. | “Stop!” | ‘Yes.’ | Then nothing.
It works (see below.) | It does not (yet). | [Sic.] | Done.
She turned to him, 'This is great.' she said.
At 5 a.m. | We left the U.S. Government.
1. First we read. | 2. Then we write.
3.) First we read.
Wait... what? | I never meant that.... | She left.
I was . . . well.
Call it first. | get_config reads the file. | torch.nn has layers. then it stops
Hello World. | My name is Jonas E. Smith. | Please turn to p. 55.
Her email is Jane.Doe@example.com. | I sent one.
No stop at the end
他说：“你好。” | 然后走了。 | 真的吗？！ | 是的……好吧。 | 《书》很好！
价格是3.5元，用torch.nn模型。 | 下一句
他问（为什么？） | 没有人答。
我们用BERT. | 然后微调。
"""


@pytest.mark.parametrize("line", [line for line in SPLIT.splitlines() if line])
def test_sentences_end_where_a_reader_would_end_them(line):
    sentences = line.split(" | ")
    joined = "" if "。" in line else " "
    expected = [sentence.replace(". . .", "...") for sentence in sentences]
    assert split_sentences(joined.join(sentences)) == expected


def test_lines_that_were_wrapped_are_joined_with_a_blank_in_english_and_without_in_chinese():
    assert split_sentences("The cat\n  sat. It\tslept.") == ["The cat sat.", "It slept."]
    assert split_sentences("我们今天\n  去公园。用 BERT\n模型") == ["我们今天去公园。", "用 BERT 模型"]


def test_nothing_makes_no_sentence():
    assert split_sentences(" \n\t ") == []


@given(st.text(alphabet='aB c.!?。！」”")(\n\u30001…中e.g'))
def test_only_white_space_is_lost(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text", ["." * 300_000, "a.b " * 100_000, "\u3000" * 300_000 + "中", "x. " * 100_000, "(" * 300_000]
)
def test_long_texts_of_one_kind_take_seconds_not_hours(text):
    begin = time.process_time()
    split_sentences(text)
    assert time.process_time() - begin < 10
