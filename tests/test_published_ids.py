"""The ids that the documents print, with the vocabularies that they used. Needs COURSE_DATA, a folder of real data."""

import ast
import os
import re
from pathlib import Path

import pytest

from course_lib.notebooks import SOURCES

DATA = os.environ.get("COURSE_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="extra: set COURSE_DATA to a folder with bert_vocab/")


def published() -> dict[str, dict[str, str]]:
    """The table as the notebook has it."""
    code = (SOURCES / "01_bert_outputs.py").read_text(encoding="utf-8")
    return ast.literal_eval(re.search(r"^published = (\{.*?^\})", code, re.MULTILINE | re.DOTALL)[1].replace("# model: {text: ids}", ""))  # fmt: skip


@pytest.mark.parametrize(("name", "lower"), [("bert-base-cased", False), ("bert-base-chinese", True)])
def test_the_ids_in_the_notebook_are_those_of_the_published_vocabularies(name: str, lower: bool) -> None:
    from transformers import BertTokenizer

    # not splitlines: one token of the Chinese vocabulary is itself a line separator (U+2028)
    lines = (Path(DATA) / "bert_vocab" / f"{name}-vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(lines)}, do_lower_case=lower)
    for text, ids in published()[name].items():
        assert " ".join(map(str, tokenizer(text)["input_ids"])) == ids
