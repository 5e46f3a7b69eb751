import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import pretrained
from course_lib.errors import DataError
from course_lib.spans import Windows, answer_positions, best_answers, windows

CONTEXT = "The Arno, 241 km long, rises on Monte Falterona and meets the sea near Pisa. Café Zoë  stands on its bank."


@dataclass(frozen=True)
class Answer:
    text: str
    start: int


@pytest.fixture(scope="module")
def tokenizer():
    return pretrained.load_tokenizer("embedded")


def one(tokenizer, context: str = CONTEXT, max_tokens: int = 23, stride: int = 5) -> Windows:
    return windows(["Where does it rise?"], [context], tokenizer, max_tokens, stride)


def low(made: Windows) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores that are low everywhere, (W, T)."""
    width = max(map(len, made.columns["input_ids"])) + 2  # with padding
    return torch.full((len(made), width), -9.0), torch.full((len(made), width), -9.0)


def test_a_row_is_question_and_passage_with_token_types(tokenizer) -> None:
    made = windows(["Who?"], ["Ann did."], tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(made.columns["input_ids"][0])
    assert tokens == ["[CLS]", "who", "?", "[SEP]", "ann", "did", ".", "[SEP]"]
    assert made.columns["token_type_ids"] == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert made.columns["attention_mask"] == [[1] * 8]
    assert (made.passage_start[0], made.passage_end[0], made.first_token[0]) == (4, 7, 0)
    assert made.offsets(0).tolist() == [[0, 3], [4, 7], [7, 8]]


@pytest.mark.parametrize(("max_tokens", "stride"), [(19, 0), (19, 3), (23, 11), (31, 7), (384, 128)])
def test_windows_are_those_of_the_fast_tokenizers_overflow(tokenizer, max_tokens: int, stride: int) -> None:
    questions = ["Where does it rise?", "How long is it?", "Why?"]
    contexts = [CONTEXT, "short", CONTEXT * 3]
    made = windows(questions, contexts, tokenizer, max_tokens, stride)
    theirs = tokenizer(
        questions, contexts, truncation="only_second", max_length=max_tokens, stride=stride,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    assert made.columns["input_ids"] == theirs["input_ids"]
    assert made.columns["token_type_ids"] == theirs["token_type_ids"]
    assert made.columns["attention_mask"] == theirs["attention_mask"]
    assert made.question_of.tolist() == theirs["overflow_to_sample_mapping"]
    for number, offsets in enumerate(theirs["offset_mapping"]):
        part = slice(made.passage_start[number], made.passage_end[number])
        assert made.offsets(number).tolist() == [list(pair) for pair in offsets[part]]


def test_a_long_question_is_cut_and_named(tokenizer) -> None:
    made = windows(["why " * 30, "Who?"], ["Ann did.", "Bob."], tokenizer, 32, 3, max_question_tokens=7)
    assert made.cut_questions == (0,) and made.passage_start.tolist() == [9, 4]


def test_a_passage_without_tokens_is_one_window_and_has_no_answer(tokenizer) -> None:
    made = windows(["Who?", "Who?"], ["", "\x00"], tokenizer)
    assert len(made) == 2
    for answer in best_answers(*low(made), made, no_answer_threshold=None):
        assert len(answer) == 1 and answer[0].no_answer and answer[0].text == "" and answer[0].probability == 1


def test_no_questions_are_no_windows(tokenizer) -> None:
    made = windows([], [], tokenizer)
    assert len(made) == 0 and answer_positions(made, []) == {"start_positions": [], "end_positions": []}
    assert best_answers(torch.zeros(0, 7), torch.zeros(0, 7), made) == best_answers([], [], made) == []


def test_the_answer_is_whole_tokens_and_cls_elsewhere(tokenizer) -> None:
    made = one(tokenizer)
    assert len(made) > 2
    answer = Answer("Monte Falterona", CONTEXT.index("Monte"))
    positions = answer_positions(made, [[answer]])
    held = 0
    for number, (start, end) in enumerate(zip(positions["start_positions"], positions["end_positions"], strict=True)):
        inside = made.offsets(number)
        whole = inside[0, 0] <= answer.start and answer.start + len(answer.text) <= inside[-1, 1]
        assert (start > 0) == (end > 0) == whole
        if whole:
            held += 1
            pieces = tokenizer.convert_ids_to_tokens(made.columns["input_ids"][number])[start : end + 1]
            assert pieces == ["monte", "fa", "##lter", "##ona"]
    assert 0 < held < len(made)


def test_an_answer_inside_a_word_gets_the_tokens_around_it(tokenizer) -> None:
    made = one(tokenizer, max_tokens=64)
    positions = answer_positions(made, [[Answer("onte", CONTEXT.index("onte"))]])
    token = positions["start_positions"][0] - made.passage_start[0]
    assert positions["start_positions"] == positions["end_positions"]
    assert CONTEXT[slice(*made.offsets(0)[token])] == "Monte"


@pytest.mark.parametrize("answers", [[], None, [Answer("", 0)], [Answer("\x00", 2)]])
def test_no_answer_and_one_without_token_are_cls(tokenizer, answers) -> None:
    made = windows(["Who?"], ["a \x00 b"], tokenizer)
    assert answer_positions(made, [answers]) == {"start_positions": [0], "end_positions": [0]}


def test_a_wrong_start_is_refused(tokenizer) -> None:
    made = one(tokenizer)
    with pytest.raises(DataError, match="'Pisa' of question 0 should start at character 3"):
        answer_positions(made, [[Answer("Pisa", 3)]])
    with pytest.raises(DataError, match="start at character -1"):
        answer_positions(made, [[Answer("Pisa", -1)]])
    with pytest.raises(DataError, match="1 questions and 2 lists"):
        answer_positions(made, [[], []])


TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from("aé ßİﬁ한我。\n\u3000\u200d\x00👩🏽🇫ⅷ%'-"), st.characters(codec="utf-8")),
    min_size=1, max_size=60,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(data=st.data(), context=TEXTS, max_tokens=st.integers(9, 33))
def test_a_gold_span_maps_back_to_exactly_its_characters(tokenizer, data, context, max_tokens) -> None:
    question = "Who?"
    room = max_tokens - 5
    stride = data.draw(st.integers(0, room - 1))
    made = windows([question], [context], tokenizer, max_tokens, stride)
    tokens = made.token_offsets[0]
    if not len(tokens):
        return
    first = data.draw(st.integers(0, len(tokens) - 1))
    last = data.draw(st.integers(first, min(len(tokens), first + max(stride, 1)) - 1))
    begin, end = int(tokens[first, 0]), int(tokens[last, 1])
    gold = context[begin:end]
    positions = answer_positions(made, [[Answer(gold, begin)]])
    starts, ends = low(made)
    held = 0
    for number, (start, stop) in enumerate(zip(positions["start_positions"], positions["end_positions"], strict=True)):
        assert (start > 0) == (stop > 0)
        if start:
            held += 1
            inside = made.offsets(number)
            shift = made.passage_start[number]
            assert context[inside[start - shift, 0] : inside[stop - shift, 1]] == gold
            starts[number, start] = ends[number, stop] = 5.0
    one_each = len({(int(a), int(b)) for a, b in tokens}) == len(tokens)  # else a character has several tokens
    if one_each and (last - first < stride or len(made) == 1):
        assert held
    if held:
        best = best_answers(starts, ends, made, max_answer_tokens=max_tokens)[0][0]
        assert (best.text, best.start_char, best.end_char, best.score) == (gold, begin, end, 10.0)


def every_pair(starts, ends, made: Windows, longest: int) -> list[dict[tuple[int, int], float]]:
    """By hand, for each question: (start character, end character) -> best score."""
    found: list[dict] = [{} for _ in made.contexts]
    for w in range(len(made)):
        scores, offsets = found[made.question_of[w]], made.offsets(w)
        for i in range(made.passage_start[w], made.passage_end[w]):
            for j in range(i, min(i + longest, made.passage_end[w])):
                key = (int(offsets[i - made.passage_start[w], 0]), int(offsets[j - made.passage_start[w], 1]))
                value = float(starts[w, i] + ends[w, j])
                scores[key] = max(scores.get(key, -np.inf), value)
    return found


@pytest.mark.parametrize(("longest", "n_best"), [(1, 3), (5, 7), (30, 20), (999, 37)])
def test_the_best_answers_are_those_of_trying_every_pair(tokenizer, longest: int, n_best: int) -> None:
    made = windows(["Where?", "How long is it?", "Why?"], [CONTEXT, CONTEXT * 2, "Pisa"], tokenizer, 23, 7)
    generator = torch.Generator().manual_seed(5)
    width = max(map(len, made.columns["input_ids"])) + 3
    starts, ends = torch.randn(2, len(made), width, generator=generator) * 3
    starts[:, 0] = ends[:, 0] = -50
    answers = best_answers(starts, ends, made, n_best, longest)
    for context, answer, scores in zip(made.contexts, answers, every_pair(starts, ends, made, longest), strict=True):
        expected = sorted(scores.items(), key=lambda item: -item[1])
        spans = [a for a in answer if not a.no_answer]
        assert [(a.start_char, a.end_char) for a in spans] == [key for key, _ in expected[:n_best]]
        assert [a.score for a in spans] == pytest.approx([value for _, value in expected[:n_best]], abs=1e-5)
        assert all(a.text == context[a.start_char : a.end_char] for a in spans)
        compared = np.exp([value for _, value in expected[: max(n_best, 20)]])
        assert [a.probability for a in spans] == pytest.approx((compared / compared.sum())[:n_best], abs=1e-5)


def test_scores_may_come_as_rows_of_their_own_length(tokenizer) -> None:
    made = one(tokenizer)
    generator = torch.Generator().manual_seed(3)
    lengths = list(map(len, made.columns["input_ids"]))
    starts, ends = (
        [torch.randn(n, generator=generator) for n in lengths],
        [torch.randn(n, generator=generator) for n in lengths],
    )
    padded = [torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=99.0) for rows in (starts, ends)]
    assert best_answers(starts, ends, made) == best_answers(*padded, made)
    assert best_answers([s.numpy() for s in starts], [e.tolist() for e in ends], made) == best_answers(*padded, made)


def test_what_stands_in_the_question_or_behind_the_passage_is_no_answer(tokenizer) -> None:
    made = one(tokenizer, max_tokens=64)
    starts, ends = low(made)
    starts[0, 2] = ends[0, 3] = 99.0  # the question
    starts[0, made.passage_end[0] :] = ends[0, made.passage_end[0] :] = 99.0  # [SEP] and padding
    starts[0, made.passage_start[0]] = ends[0, made.passage_start[0]] = 1.0
    assert best_answers(starts, ends, made)[0][0].text == "The"


def test_case_accents_and_spaces_are_those_of_the_passage(tokenizer) -> None:
    made = one(tokenizer, max_tokens=64)
    gold = "Café Zoë  stands"
    positions = answer_positions(made, [Answer(gold, CONTEXT.index(gold))])
    starts, ends = low(made)
    starts[0, positions["start_positions"][0]] = ends[0, positions["end_positions"][0]] = 4.0
    assert best_answers(starts, ends, made)[0][0].text == gold


def test_no_answer_wins_by_the_threshold_and_by_its_least_sure_window(tokenizer) -> None:
    made = one(tokenizer)
    starts, ends = low(made)
    starts[0, made.passage_start[0]] = ends[0, made.passage_start[0]] = 1.0  # an answer of 2.0
    starts[:, 0] = ends[:, 0] = 9.0
    starts[1, 0] = ends[1, 0] = 1.5  # the least sure window: 3.0
    first = best_answers(starts, ends, made)[0]
    assert first[0].no_answer and first[0].score == 3.0 and first[1].text == "The"
    assert best_answers(starts, ends, made, no_answer_threshold=0.99)[0][0].no_answer
    second = best_answers(starts, ends, made, no_answer_threshold=1.0)[0]
    assert second[0].text == "The" and second[1].no_answer
    assert first[0].probability == second[1].probability > first[1].probability
    never = best_answers(starts, ends, made, no_answer_threshold=None)[0]
    assert never[0].text == "The" and not any(answer.no_answer for answer in never)
    assert sum(answer.probability for answer in never) == pytest.approx(1)
    assert len(best_answers(starts, ends, made, n_best=1)[0]) == 2  # the answer and "no answer"


def test_ten_questions_of_a_passage_of_100_000_characters(tokenizer) -> None:
    context = (CONTEXT + "\n") * (100_000 // len(CONTEXT)) + "The needle is here: Xanthippe."
    made = windows(["Where is the needle?"] * 10, [context] * 10, tokenizer)
    gold = Answer("Xanthippe", context.index("Xanthippe"))
    positions = answer_positions(made, [[gold]] * 10)
    starts, ends = low(made)
    rows = torch.arange(len(made))
    starts[rows, torch.tensor(positions["start_positions"])] = 3.0
    ends[rows, torch.tensor(positions["end_positions"])] = 3.0
    starts[:, 0] = ends[:, 0] = 0.0
    answers = best_answers(starts, ends, made)
    assert [(a[0].text, a[0].start_char) for a in answers] == [("Xanthippe", gold.start)] * 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, e: (s[:1], e), "start_logits has shape"),
        (lambda s, e: (s, e[:, :9]), "end_logits.0. has 9 scores"),
        (lambda s, e: (s * torch.nan, e), "no finite numbers"),
    ],
)
def test_scores_that_do_not_fit_are_refused(tokenizer, change, message: str) -> None:
    made = one(tokenizer)
    with pytest.raises(ValueError, match=message):
        best_answers(*change(*low(made)), made)


def test_other_mistakes_are_said_in_a_sentence(tokenizer) -> None:
    with pytest.raises(ValueError, match="Question 0 has 5 tokens, which leaves 6 of 14"):
        one(tokenizer, max_tokens=14, stride=6)
    with pytest.raises(DataError, match="2 questions and 1 contexts"):
        windows(["a", "b"], ["c"], tokenizer)
    with pytest.raises(TypeError, match="questions is one text"):
        windows("a", ["c"], tokenizer)
    with pytest.raises(TypeError, match=r"contexts\[0\] is a NoneType"):
        windows(["a"], [None], tokenizer)
    with pytest.raises(ValueError, match="n_best is 0"):
        best_answers(*low(one(tokenizer)), one(tokenizer), n_best=0)


def test_predictions_can_be_written_as_json(tokenizer) -> None:
    made = one(tokenizer)
    answer = best_answers(*low(made), made)[0][0]
    assert json.loads(json.dumps(vars(answer))) == vars(answer)  # plain numbers, none of numpy
