import collections
import json
import math
import re
import string
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score as seqeval_f1

from course_lib import metrics
from course_lib.errors import DataError
from course_lib.metrics import METRICS, better, scorer

NAMES = ("sport", "music", "food", "art", "law")


@dataclass(frozen=True)
class Answer:
    text: str


@dataclass(frozen=True)
class Question:
    id: str
    answers: tuple[Answer, ...]


def asked(*answers: tuple[str, ...]) -> list[Question]:
    return [Question(str(number), tuple(map(Answer, texts))) for number, texts in enumerate(answers)]


# Classes -------------------------------------------------------------------------------------------------------------


def test_a_report_has_the_scores_of_each_class_and_the_baseline() -> None:
    report = metrics.classification_report([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2], NAMES[:3])
    assert report.precision == pytest.approx((2 / 3, 1 / 2, 1)) and report.recall == pytest.approx((2 / 3, 1 / 2, 1))
    assert report.support == (3, 2, 1) and report.accuracy == pytest.approx(4 / 6) and report.examples == 6
    assert (report.majority, report.majority_accuracy) == ("sport", 0.5)
    assert report.macro.f1 == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert report.weighted.f1 == pytest.approx((3 * 2 / 3 + 2 / 2 + 1) / 6)
    assert report.notes == ("Accuracy 0.667 on 6 examples; always answering 'sport' would reach 0.500.",)


def test_absent_classes_are_shown_as_such_and_explained() -> None:
    # sport is right once; music is never predicted; food is predicted but not there; art and law are neither.
    report = metrics.classification_report([0, 1, 1], [0, 0, 2], NAMES)
    rows = {row[0]: list(row[1:]) for row in report.table.rows}
    assert rows["sport"] == ["0.500", "1.000", "0.667", 1]
    assert rows["music"] == ["-", "0.000", "0.000", 2]
    assert rows["food"] == ["0.000", "-", "0.000", 0]
    assert rows["art"] == rows["law"] == ["-", "-", "-", 0]
    assert "Neither among the labels nor predicted: art, law." in str(report)
    assert "Predicted, but not among the labels: food." in report._repr_html_()
    assert "Never predicted: music." in report._repr_html_()


def test_seven_classes_of_ten_neither_raise_nor_warn() -> None:
    labels = np.arange(70) % 7
    report = metrics.classification_report(labels, labels, [f"class {i}" for i in range(10)])
    assert report.accuracy == report.macro.f1 == 1.0 and report.support[7:] == (0, 0, 0)


def test_one_class_only_and_labels_left_out() -> None:
    report = metrics.classification_report([0, 0, -100], [0, 0, 0], ["only"])
    assert (report.accuracy, report.f1, report.support, report.left_out) == (1.0, (1.0,), (2,), 1)
    assert report.notes[-1] == "1 label of -100 left out."
    tokens = metrics.classification_report(torch.tensor([[1, -100], [0, 2]]), torch.tensor([[1, 4], [2, 2]]), NAMES)
    assert tokens.support == (1, 1, 1, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_averages_are_those_of_scikit_learn(pairs) -> None:
    labels, predictions = zip(*pairs, strict=True)
    report = metrics.classification_report(labels, predictions, NAMES)
    theirs = sklearn.metrics.classification_report(labels, predictions, zero_division=0, output_dict=True)
    for mine, name in ((report.macro, "macro avg"), (report.weighted, "weighted avg")):
        assert (mine.precision, mine.recall, mine.f1) == pytest.approx(
            tuple(theirs[name][key] for key in ("precision", "recall", "f1-score"))
        )
    assert metrics.macro_f1(labels, predictions) == pytest.approx(report.macro.f1)
    assert metrics.micro_f1(labels, predictions) == pytest.approx(metrics.accuracy(labels, predictions))


def test_names_are_escaped_in_the_page() -> None:
    html = metrics.classification_report([0], [0], ["<b>"])._repr_html_()
    assert "&lt;b&gt;" in html and "<b>" not in html


def test_the_confusion_matrix_has_a_row_for_each_label() -> None:
    matrix = metrics.confusion_matrix([0, 0, 2, -100], [0, 1, 0, 2], 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("labels", "predictions", "kind", "message"),
    [
        ([0, 5], [0, 0], ValueError, "labels hold the class 5, but there are 5 names"),
        ([0, 1], [0, -1], ValueError, "predictions hold the class -1"),
        ([-100], [0], ValueError, "nothing to score in 1 labels"),
        ([0, 1], [0], ValueError, r"shape \(2,\) and predictions \(1,\)"),
        (["sport"], ["sport"], TypeError, "not its name"),
        ([0, 1], [0.2, 0.9], TypeError, "predictions hold numbers with a fraction"),
        ([[0], [1, 2]], [[0], [1, 2]], TypeError, "equally long rows"),
    ],
)
def test_what_cannot_be_scored_is_said_in_a_sentence(labels, predictions, kind, message) -> None:
    with pytest.raises(kind, match=message):
        metrics.classification_report(labels, predictions, NAMES)


def test_accuracy_of_choices_and_masked_words() -> None:
    assert metrics.accuracy(torch.tensor([2, 0, 1]), torch.tensor([2, 0, 0])) == pytest.approx(2 / 3)
    assert metrics.accuracy([[-100, 7, -100], [9, -100, -100]], [[1, 7, 1], [8, 1, 1]]) == 0.5


# Several labels ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 11))
def test_scores_of_several_labels_are_those_of_scikit_learn(seed: int, k: int, n: int) -> None:
    truth, guess = np.random.default_rng(seed).integers(0, 2, (2, n, k))
    report = metrics.multilabel_report(truth, guess, NAMES[:k])
    each = [sklearn.metrics.f1_score(t, g, zero_division=np.nan) for t, g in zip(truth.T, guess.T, strict=True)]
    assert report.f1 == pytest.approx(each, nan_ok=True)
    assert report.subset_accuracy == pytest.approx((truth == guess).all(axis=1).mean())
    assert report.support == tuple(truth.sum(axis=0))
    if k > 1:
        assert report.micro_f1 == pytest.approx(
            sklearn.metrics.f1_score(truth, guess, average="micro", zero_division=0)
        )
        assert metrics.micro_f1(truth.astype(float), guess) == pytest.approx(report.micro_f1)
    assert str(report).endswith("examples.") or n == 1


def test_labels_without_examples_are_no_zeros() -> None:
    report = metrics.multilabel_report([[1, 0], [1, 0]], torch.tensor([[True, False], [True, False]]), NAMES[:2])
    assert report.macro_f1 == 1.0 and math.isnan(report.f1[1])
    assert report.table.rows[1] == ["music", "-", "-", "-", 0]
    assert "Micro F1 1.000" in report._repr_html_()


def test_scores_in_place_of_decisions_are_refused() -> None:
    with pytest.raises(ValueError, match="logits > 0"):
        metrics.multilabel_report([[1, 0]], [[0.7, -1.0]], NAMES[:2])
    with pytest.raises(ValueError, match="2 labels an example and 5 names"):
        metrics.multilabel_report([[1, 0]], [[1, 0]], NAMES)


# Hard examples -------------------------------------------------------------------------------------------------------


def test_the_hardest_have_the_highest_loss() -> None:
    logits = torch.tensor([[2.0, 0, 0], [0, 5, 0], [0, 0, 1], [9, 0, 0]])
    labels = torch.tensor([0, 2, 2, -100])
    hard = metrics.hardest(["one", "two", "three", "four"], logits, labels, 2, NAMES[:3])
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    assert [(e.text, e.label, e.prediction, e.place) for e in hard] == [
        ("two", "food", "music", 1),
        ("three", "food", "food", 2),
    ]
    assert [e.loss for e in hard] == pytest.approx(losses[[1, 2]].tolist())
    assert [e.probability for e in hard] == pytest.approx(torch.softmax(logits, -1)[[1, 2], 2].tolist())
    assert "two" in hard._repr_html_() and "music" in str(hard)
    assert len(metrics.hardest([Answer(t) for t in "abcd"], logits, labels, 99)) == 3


def test_hard_examples_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="There are 1 examples, logits of shape"):
        metrics.hardest(["one"], torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match="class 3"):
        metrics.hardest(["one"], torch.zeros(1, 3), torch.tensor([3]))


# Numbers -------------------------------------------------------------------------------------------------------------


def test_regression_scores_know_a_line_from_an_order() -> None:
    scores = metrics.regression_scores(torch.tensor([1.0, 2, 3, 4]), torch.tensor([[1.0], [8], [27], [64]]))
    assert scores.spearman == pytest.approx(1) and 0.9 < scores.pearson < 1
    assert scores.mse == pytest.approx((0 + 36 + 24**2 + 3600) / 4)
    assert str(scores).startswith("Pearson 0.9")


def test_nothing_goes_along_with_a_constant() -> None:
    assert math.isnan(metrics.pearson([1, 2, 3], [5, 5, 5])) and math.isnan(metrics.spearman([1, 1], [1, 2]))


def test_numbers_that_cannot_be_scored_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 examples"):
        metrics.pearson([1.0], [1.0])
    with pytest.raises(ValueError, match="not finite"):
        metrics.mse([1.0, 2.0], [1.0, math.nan])


def test_perplexity_is_the_number_of_equally_likely_words() -> None:
    assert metrics.perplexity(math.log(17)) == pytest.approx(17) and metrics.perplexity(1e6) == math.inf


# Names in sentences --------------------------------------------------------------------------------------------------

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def test_a_name_counts_when_all_of_it_is_right() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O"]]
    found = [["B-PER", "O", "O", "B-LOC"], ["B-LOC", "O"]]
    scores = metrics.entity_scores(gold, found)
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3)) and scores.support == 3
    assert scores.types["PER"].f1 == 0 and scores.types["LOC"].f1 == 1 and scores.types["LOC"].support == 2
    assert [row[0] for row in scores.table.rows] == ["LOC", "PER", "all names"]


def test_numbers_are_looked_up_and_minus_100_never_counts() -> None:
    gold = torch.tensor([[-100, 1, -100, 2, 0, -100]])
    found = torch.tensor([[3, 1, 3, 2, 0, 3]])  # what stands at -100 would be names
    scores = metrics.entity_scores(gold, found, TAGS)
    assert scores.f1 == 1.0 and scores.support == 1
    assert metrics.entity_scores([[-100, "B-PER"]], [["B-LOC", "B-PER"]]).f1 == 1.0


def test_strict_reading_knows_no_name_without_its_beginning() -> None:
    gold, found = [["B-PER", "O"]], [["I-PER", "O"]]
    assert metrics.entity_scores(gold, found).f1 == 1.0
    assert metrics.entity_scores(gold, found, strict=True).f1 == 0.0


SENTENCES = st.lists(
    st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), max_size=7), min_size=1, max_size=5
)


@settings(deadline=None)
@given(SENTENCES)
def test_entity_scores_are_those_of_seqeval(sentences) -> None:
    gold = [[truth for truth, _ in tags] for tags in sentences]
    found = [[guess for _, guess in tags] for tags in sentences]
    assert metrics.entity_scores(gold, found).f1 == pytest.approx(seqeval_f1(gold, found, zero_division=0))


@pytest.mark.parametrize("gold", [["O", "O"], ["B-PER", "O"]])
@pytest.mark.parametrize("found", [["O", "O"], ["O", "B-LOC"]])
@pytest.mark.parametrize("strict", [False, True])
def test_seqeval_stays_quiet(gold, found, strict, capsys) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        scores = metrics.entity_scores([gold], [found], strict=strict)
    assert not seen and capsys.readouterr() == ("", "")
    assert scores.f1 == 0.0
    assert ("no names in the gold tags" in str(scores)) == (gold == ["O", "O"])


def test_tags_that_cannot_be_scored_are_refused() -> None:
    with pytest.raises(TypeError, match="names="):
        metrics.entity_scores([[0, 1]], [[0, 1]])
    with pytest.raises(TypeError, match="NoneType"):
        metrics.entity_scores([["O"]], [[None]], TAGS)
    with pytest.raises(ValueError, match="A tag is 'PER'"):
        metrics.entity_scores([["PER"]], [["O"]])
    with pytest.raises(DataError, match="Sentence 0 has 1 gold tags and 2"):
        metrics.entity_scores([["O"]], [["O", "O"]])
    with pytest.raises(DataError, match="0 sentences"):
        metrics.entity_scores([], [])


# Answers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Arno.", "arno"),
        ("a U.S. law", "us law"),
        ("A-1", "a1"),
        ("4 a.m.", "4 am"),
        ("the", ""),
        ("an\u00a0Ôther “theme”", "ôther “theme”"),  # only ASCII punctuation goes
    ],
)
def test_an_answer_is_compared_without_what_does_not_count(text: str, normal: str) -> None:
    assert metrics.normalise_answer(text) == normal


def test_the_best_of_several_answers_counts() -> None:
    scores = metrics.answer_scores({"0": "the blue river", "1": "Pisa"}, asked(("river", "blue river"), ("Arno",)))
    assert (scores.exact_match, scores.f1, scores.questions) == (0.5, 0.5, 2)
    assert metrics.token_f1("wide blue river", "blue river bank of") == pytest.approx(
        2 * (2 / 3 * 1 / 2) / (2 / 3 + 1 / 2)
    )
    assert metrics.token_f1("no no", "no") == pytest.approx(2 / 3)  # a word counts as often as it stands in both


def test_a_question_without_prediction_is_wrong_in_1_1_and_does_not_count_in_2_0() -> None:
    questions = asked(("Arno",), ("Pisa",))
    old = metrics.answer_scores({"0": "Arno"}, questions)
    assert (old.exact_match, old.questions, old.missing) == (0.5, 2, 1)
    new = metrics.answer_scores({"0": "Arno"}, questions, version="2.0")
    assert (new.exact_match, new.questions, new.missing) == (1.0, 1, 1)
    assert str(new) == "Exact match 1.000, F1 1.000 on 1 questions; 1 have no prediction."


def test_examples_are_counted_in_whole_numbers_also_where_nothing_is_right() -> None:
    report = metrics.classification_report([0, 0, 1], [2, 2, 2], ["a", "b", "c"])
    assert report.support == (2, 1, 0) and all(isinstance(count, int) for count in report.support)
    assert "on 3 examples" in str(report)


def test_where_there_is_no_answer_only_nothing_is_right() -> None:
    scores = metrics.answer_scores({"0": "", "1": "Pisa", "2": "the", "3": ""}, asked((), (), (), ("Arno",)))
    assert scores.unanswerable == (pytest.approx(2 / 3), pytest.approx(2 / 3), 3)  # "the" is nothing, too
    assert scores.answerable == (0.0, 0.0, 1)
    assert "(1 with an answer: 0.000 and 0.000; 3 without: 0.667)" in str(scores)


WORDS = st.lists(st.sampled_from(["the", "a", "An", "Arno", "arno,", "river", "-", "“x”", "...", "U.S."]), max_size=5).map(" ".join)  # fmt: skip


def by_the_rules(prediction: str, gold: list[str], version: str) -> tuple[float, float]:
    """SQuAD's rules once more, written otherwise: slowly and without the functions of the library."""

    def normal(text: str) -> list[str]:
        kept = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return [word for word in re.sub(r"(?<!\w)(the|an|a)(?!\w)", " ", kept).split() if word]

    def overlap(one: list[str], two: list[str]) -> float:
        if version == "2.0" and not (one and two):
            return float(one == two)
        same = sum(min(one.count(word), two.count(word)) for word in set(one))
        return 2 * same / (len(one) + len(two)) if same else 0.0

    if version == "2.0":
        gold = [text for text in gold if normal(text)] or [""]
    mine = normal(prediction)
    return max(float(normal(g) == mine) for g in gold), max(overlap(mine, normal(g)) for g in gold)


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=3)), min_size=1, max_size=5), st.sampled_from(["1.1", "2.0"]))
def test_scores_follow_the_rules_of_both_versions(cases, version: str) -> None:
    if version == "1.1":
        cases = [(text, gold or ["Arno"]) for text, gold in cases]
    predictions = {str(number): text for number, (text, _) in enumerate(cases)}
    found = metrics.answer_scores(predictions, asked(*(tuple(gold) for _, gold in cases)), version)
    expected = [by_the_rules(text, gold, version) for text, gold in cases]
    assert found.exact_match == pytest.approx(np.mean([em for em, _ in expected]))
    assert found.f1 == pytest.approx(np.mean([f1 for _, f1 in expected]))


def test_chinese_goes_by_the_longest_run_of_characters() -> None:
    assert metrics.token_f1("在北京的大学", "北京大学", "zh") == pytest.approx(2 * (2 / 6 * 2 / 4) / (2 / 6 + 2 / 4))
    assert metrics.exact_match("《北京》", "北京。", "zh") == 1.0
    assert metrics.exact_match("北京.", "北京", "zh") == 0.0  # a full stop of ASCII is not taken away there
    assert metrics.token_f1("3.5米BERT", "3.5 米", "zh") == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    scores = metrics.answer_scores({"0": "北京"}, asked(("北京市", "北京"), ("上海",)), language="zh")
    assert (scores.exact_match, scores.f1) == (0.5, 0.5)


def longest_run(one: list, two: list) -> int:
    return max((k for k in range(len(one) + 1) for i in range(len(one) - k + 1) for j in range(len(two) - k + 1)
                if one[i : i + k] == two[j : j + k]), default=0)  # fmt: skip


@given(st.text("北京大学a。", max_size=7), st.text("北京大学a。", max_size=7))
def test_the_longest_run_is_found(one: str, two: str) -> None:
    pieces = [re.findall("a+|[北京大学]", text.strip().replace("。", "")) for text in (one, two)]
    same = longest_run(*pieces)
    expected = 2 * same / (len(pieces[0]) + len(pieces[1])) if same else 0.0
    assert metrics.token_f1(one, two, "zh") == pytest.approx(expected)


def official(*parts: str) -> tuple[list, dict[str, str]]:
    cases = [case for part in parts for case in OFFICIAL[part]]
    return asked(*(tuple(gold) for gold, _ in cases)), {
        str(number): said for number, (_, said) in enumerate(cases) if said is not None
    }


OFFICIAL = json.loads((Path(__file__).parent / "official_answers.json").read_text(encoding="utf-8"))
OFFICIAL["nothing"] = [[[], said] for said in OFFICIAL["without_answer"]]


def test_the_numbers_are_those_of_the_official_programs() -> None:
    """Frozen from runs of the three programs themselves; the file says of which."""
    questions, said = official("english")
    found, theirs = metrics.answer_scores(said, questions, "1.1"), OFFICIAL["squad_1.1"]
    assert 100 * np.array([found.exact_match, found.f1]) == pytest.approx([theirs["exact_match"], theirs["f1"]])

    found, theirs = metrics.answer_scores(*reversed(official("english", "nothing")), "2.0"), OFFICIAL["squad_2.0"]
    for part, prefix in (
        ((found.exact_match, found.f1, found.questions), ""),
        (found.answerable, "HasAns_"),
        (found.unanswerable, "NoAns_"),
    ):
        expected = [theirs[prefix + name] for name in ("exact", "f1", "total")]
        assert [100 * part[0], 100 * part[1], part[2]] == pytest.approx(expected)

    questions, said = official("chinese")
    found, theirs = metrics.answer_scores(said, questions, language="zh"), OFFICIAL["cmrc_2018"]
    assert 100 * np.array([found.exact_match, found.f1]) == pytest.approx([theirs["EM"], theirs["F1"]])
    assert (found.questions, found.missing) == (theirs["TOTAL"], theirs["SKIP"])


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("建筑师Henry A. Walsh。", ["建", "筑", "师", "henry", "a.", "walsh"]),
        ("U.S.的", ["u.s", ".", "的"]),
        ("23~28℃（82至90°F）", ["2328℃82", "至", "90°f"]),
        ("don't, it's 1,000", ["do", "n't", ",", "it", "'s", "1,000"]),
        ("a...b—c", ["a", "...", "b", "—", "c"]),
    ],
)
def test_between_chinese_characters_words_are_split_as_nltk_does(text: str, pieces: list[str]) -> None:
    """The pieces here are what nltk's splitter gives."""
    assert metrics.answer_pieces(text, "zh") == pieces


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (({}, []), DataError, "no questions"),
        (({"0": "x"}, asked((),), "1.1"), DataError, "Question '0' has no answer"),
        (({"0": 7}, asked(("x",))), TypeError, "prediction for '0' is a int"),
        (({}, asked(("x",)) * 2), DataError, "id '0' belongs to several"),
        (({}, asked(("x",)), "3.0"), ValueError, "version is '3.0'"),
        (({}, asked(("x",)), None, "de"), ValueError, "language 'de'"),
    ],
)  # fmt: skip
def test_answers_that_cannot_be_scored_are_refused(arguments, kind, message) -> None:
    with pytest.raises(kind, match=message):
        metrics.answer_scores(*arguments)


# Comparing -----------------------------------------------------------------------------------------------------------


def test_runs_have_mean_and_spread() -> None:
    found = metrics.over_seeds([{"accuracy": 0.8}, {"accuracy": 0.9}, {"accuracy": 0.85}])["accuracy"]
    assert (found.mean, found.sd, found.low, found.high, found.runs) == pytest.approx((0.85, 0.05, 0.8, 0.9, 3))
    assert str(found) == "0.85 ± 0.05 (3 runs, 0.8 to 0.9)"
    assert "a spread needs at least 2" in str(metrics.over_seeds([{"f": 1}])["f"])


def test_runs_with_other_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="Run 1 has the scores loss, run 0 accuracy"):
        metrics.over_seeds([{"accuracy": 1}, {"loss": 1}])
    with pytest.raises(ValueError, match="no runs"):
        metrics.over_seeds([])


def right_or_wrong(both: int, a: int, b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.repeat([1, 1, 0, 0], [both, a, b, neither]).astype(bool),
        np.repeat([1, 0, 1, 0], [both, a, b, neither]).astype(bool),
    )


def test_a_clear_difference_is_shown() -> None:
    found = metrics.paired_interval(*right_or_wrong(150, 5, 31, 25), names=("small", "large"))
    assert found.difference == pytest.approx(26 / 211) and found.low < 26 / 211 < found.high
    se = math.sqrt((36 / 211 - (26 / 211) ** 2) / 211)  # of the mean of paired differences
    assert (found.low, found.high) == pytest.approx((26 / 211 - 1.96 * se, 26 / 211 + 1.96 * se), abs=0.004)
    assert (found.only_a, found.only_b) == (5, 31)
    tail = sum(math.comb(36, k) for k in range(6)) / 2**36
    assert found.p_value == pytest.approx(2 * tail)
    assert found.shown and found.verdict.startswith(
        "large is better: large minus small is +12.3 points on 211 examples"
    )
    other = metrics.paired_interval(*reversed(right_or_wrong(150, 5, 31, 25)), names=("large", "small"))
    assert other.verdict.startswith("large is better") and other.difference == -found.difference


def test_no_difference_is_a_verdict() -> None:
    found = metrics.paired_interval(*right_or_wrong(150, 13, 17, 31))
    assert not found.shown and found.verdict.startswith("No difference is shown: B minus A is +1.9 points")
    same = metrics.paired_interval([1, 0, 1], [1, 0, 1])
    assert (same.low, same.high, same.p_value, same.shown) == (0.0, 0.0, 1.0, False)


def test_the_same_seed_gives_the_same_interval_and_f1_has_no_mcnemar() -> None:
    generator = np.random.default_rng(3)
    a, b = generator.random((2, 53))
    first, second = metrics.paired_interval(a, b), metrics.paired_interval(a, b)
    assert first == second and first.p_value is None and "McNemar" not in str(first)
    assert metrics.paired_interval(a, b, seed=1).low != first.low


def test_comparisons_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="same ones in the same order"):
        metrics.paired_interval([1, 0], [1])
    with pytest.raises(ValueError, match="confidence is 95"):
        metrics.paired_interval([1, 0], [1, 1], confidence=95)
    with pytest.raises(ValueError, match="finite"):
        metrics.paired_interval([1, math.nan], [1, 1])


# By name -------------------------------------------------------------------------------------------------------------


def test_every_metric_knows_which_way_is_better() -> None:
    lower = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert lower == {"mse", "loss", "perplexity"}
    assert set(METRICS) - lower == {
        "accuracy", "macro_f1", "micro_f1", "pearson", "spearman", "entity_f1", "exact_match", "answer_f1",
    }  # fmt: skip
    for name in METRICS:
        assert better(name, 0.9, 0.8) == (name not in lower) and better(name, 0.8, 0.9) == (name in lower)
        assert not better(name, 0.8, 0.8)
        assert better(name, 0.8, None) and better(name, 0.8, math.nan) and not better(name, math.nan, 0.8)


def test_an_unknown_metric_is_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        better("acuracy", 1, 0)
    with pytest.raises(ValueError, match="choose one of accuracy, "):
        scorer("zzz")


def evaluation(logits, labels, loss: float = 0.5) -> SimpleNamespace:
    return SimpleNamespace(loss=loss, logits=torch.tensor(logits), labels=torch.tensor(labels))


def test_a_scorer_reads_an_evaluation() -> None:
    found = scorer("accuracy", "macro_f1", "loss", "perplexity")(evaluation([[1.0, 0], [0, 1], [0, 1]], [0, 1, 0]))
    assert found == pytest.approx({"accuracy": 2 / 3, "macro_f1": 2 / 3, "loss": 0.5, "perplexity": math.exp(0.5)})
    numbers = scorer("pearson", "spearman", "mse")(evaluation([[1.0], [2.0], [3.0]], [2.0, 4.0, 6.0]))
    assert numbers == pytest.approx({"pearson": 1, "spearman": 1, "mse": (1 + 4 + 9) / 3})
    several = scorer("micro_f1")(evaluation([[1.0, -1, 3], [-1, -1, 2]], [[1.0, 0, 0], [0.0, 0, 1]]))
    assert several == {"micro_f1": pytest.approx(0.8)}


def test_a_scorer_for_names_and_for_answers() -> None:
    logits = torch.nn.functional.one_hot(torch.tensor([[1, 2, 4]]), 5).float().tolist()
    assert scorer("entity_f1", names=TAGS)(evaluation(logits, [[1, 2, -100]])) == {"entity_f1": 1.0}
    questions = asked(("Arno",), ("Pisa",))
    found = scorer("exact_match", "answer_f1", answers=lambda e: {"0": "Arno", "1": "to Pisa"}, questions=questions)
    assert found(evaluation([[0.0]], [0])) == pytest.approx({"exact_match": 0.5, "answer_f1": 5 / 6})
    with pytest.raises(ValueError, match="needs answers and questions as well"):
        scorer("exact_match")


def test_everything_public_is_listed() -> None:
    assert collections.Counter(metrics.__all__).most_common(1)[0][1] == 1
    assert all(hasattr(metrics, name) for name in metrics.__all__)
