"""Scores for answers in words: exact match and F1, with the rules of SQuAD and of CMRC 2018.

Answers are compared after small differences are taken away. In English (SQuAD, Rajpurkar et al. 2016): upper case,
punctuation, the articles a, an and the, and doubled spaces. F1 is over words. Of several people's answers the best
counts. SQuAD 2.0 (Rajpurkar et al. 2018) adds questions without an answer, where only "" is right.

In Chinese (CMRC 2018, Cui et al. 2019) a comparison by words would need a word splitter, so it goes by characters: the
longest run of characters that both answers have, in relation to the length of each.

With the same predictions, times 100, the numbers are those of the official programs.
"""

from __future__ import annotations

import collections
import difflib
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from course_lib.errors import DataError

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
# What the program of CMRC 2018 takes away; others, such as . and , of ASCII, it keeps.
_CHINESE_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
# The pieces of a Chinese answer are its characters. What stands between them is split as that program's splitter, of nltk,
# does it: signs are pieces, and so are a comma in no number, a full stop at the end, and the 's of "it's".
_SIGN = r"[;@#$%&?!()\[\]{}<>\"«»“‘„\u2012-\u2015]|[,:](?!\d)"
_END = rf"(?=\s|[\u4e00-\u9fa5]|$|{_SIGN})"
_APART = (
    rf"\.{{2,}}|{_SIGN}|(?<!\.)\.(?=[\])}}>\"'»\s]*(?:[\u4e00-\u9fa5]|$))"
    rf"|n't{_END}|(?<=\S)'(?:s|m|d|ll|re|ve)?{_END}"
)
_CHINESE_PIECE = re.compile(rf"[\u4e00-\u9fa5]|{_APART}|(?:(?!{_APART})[^\s\u4e00-\u9fa5])+")


@dataclass(frozen=True)
class AnswerScores:
    """Exact match and F1, from 0 to 1, over all questions and apart for those with and without an answer."""

    exact_match: float
    f1: float
    questions: int  # that count
    missing: int  # without a prediction
    answerable: tuple[float, float, int]  # exact match, F1, questions
    unanswerable: tuple[float, float, int]

    def __str__(self) -> str:
        text = f"Exact match {self.exact_match:.3f}, F1 {self.f1:.3f} on {self.questions:,} questions"
        if self.unanswerable[2]:
            text += (
                f" ({self.answerable[2]:,} with an answer: {self.answerable[0]:.3f} and {self.answerable[1]:.3f}; "
                f"{self.unanswerable[2]:,} without: {self.unanswerable[0]:.3f})"
            )
        return text + (f"; {self.missing:,} have no prediction." if self.missing else ".")


def answer_scores(
    predictions: Mapping[str, str], questions: Iterable[Any], version: str | None = None, language: str = "en"
) -> AnswerScores:
    """Exact match and F1 of predicted answers.

    Args:
        predictions: id of a question -> predicted text, "" for "there is no answer".
        questions: objects with `id` and `answers`, each answer with `text`.
        version: the rules of SQuAD "1.1": a question without a prediction counts as wrong; or of "2.0": it does not
            count, and there are questions without an answer. By default 2.0 where there are such questions.
        language: "en", or "zh" for the rules of CMRC 2018.

    Raises:
        DataError: no question, or two with the same id, or one without an answer under the rules of 1.1.
        TypeError: a prediction that is no text.
        ValueError: an unknown version or language.
    """
    questions = list(questions)
    if language not in ("en", "zh") or version not in (None, "1.1", "2.0"):
        raise ValueError(
            f"version is {version!r} and language {language!r}; '1.1' or '2.0', and 'en' or 'zh' are known."
        )
    if version is None:
        version = "1.1" if all(question.answers for question in questions) else "2.0"
    _check(predictions, questions, version)
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    missing = 0
    for question in questions:
        prediction = predictions.get(question.id)
        missing += prediction is None
        if prediction is not None:
            scores = _question_scores(prediction, [answer.text for answer in question.answers], version, language)
        elif version == "2.0":
            continue
        else:
            scores = (0.0, 0.0)
        found[bool(question.answers)].append(scores)
    every = found[True] + found[False]
    parts = [(*_means(part), len(part)) for part in (every, found[True], found[False])]
    return AnswerScores(*parts[0][:2], len(every), missing, parts[1], parts[2])


def _check(predictions: Mapping[str, str], questions: list[Any], version: str) -> None:
    if not questions:
        raise DataError("There are no questions to score; give at least one.")
    repeated = [id_ for id_, times in collections.Counter(q.id for q in questions).items() if times > 1]
    if repeated:
        raise DataError(f"The id {repeated[0]!r} belongs to several questions; each needs an id of its own.")
    for question in questions:
        if version == "1.1" and not question.answers:
            raise DataError(
                f"Question {question.id!r} has no answer, which SQuAD 1.1 does not know; give version='2.0'."
            )
        if not isinstance(predictions.get(question.id, ""), str):
            raise TypeError(
                f"The prediction for {question.id!r} is a {type(predictions[question.id]).__name__}; give its text."
            )


def _question_scores(prediction: str, answers: list[str], version: str, language: str) -> tuple[float, float]:
    if version == "2.0":
        answers = [text for text in answers if normalise_answer(text, language)] or [""]
    return (
        max(exact_match(prediction, answer, language) for answer in answers),
        max(token_f1(prediction, answer, language, version) for answer in answers),
    )


def _means(scores: list[tuple[float, float]]) -> tuple[float, float]:
    if not scores:
        return float("nan"), float("nan")
    first, second = zip(*scores, strict=True)
    return sum(first) / len(scores), sum(second) / len(scores)


def normalise_answer(text: str, language: str = "en") -> str:
    """An answer without what does not count: "The  Arno." becomes "arno"."""
    if language == "zh":
        return text.lower().strip().translate(_CHINESE_PUNCTUATION)
    # In this order, as in the official program: without its punctuation, "a.m." is the word "am" and no article.
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answer: str, language: str = "en") -> float:
    """1.0 where both are the same after normalisation, else 0.0."""
    return float(normalise_answer(prediction, language) == normalise_answer(answer, language))


def answer_pieces(text: str, language: str = "en") -> list[str]:
    """What F1 compares: words; in Chinese characters, and between them words.

    The program of CMRC 2018 leaves the words to a splitter of nltk. This one does the same but for three things, rare in
    answers: it guesses no ends of sentences inside a text, and knows neither words such as "cannot", which are two there,
    nor which of two straight quotation marks opens.
    """
    normal = normalise_answer(text, language)
    return _CHINESE_PIECE.findall(normal) if language == "zh" else normal.split()


def token_f1(prediction: str, answer: str, language: str = "en", version: str = "1.1") -> float:
    """How much of each other two answers hold, from 0 to 1.

    English: words, in any order. Chinese: pieces, in the longest run that both have.

    Where one of them is empty after normalisation, the rules of 2.0 give 1 if both are, those of 1.1 always 0.
    """
    mine, theirs = answer_pieces(prediction, language), answer_pieces(answer, language)
    if language == "zh":
        matcher = difflib.SequenceMatcher(None, mine, theirs, autojunk=False)
        same = matcher.find_longest_match().size
    else:
        same = (collections.Counter(mine) & collections.Counter(theirs)).total()
    if version == "2.0" and not (mine and theirs):
        return float(mine == theirs)
    if same == 0:
        return 0.0
    precision, recall = same / len(mine), same / len(theirs)
    return 2 * precision * recall / (precision + recall)
