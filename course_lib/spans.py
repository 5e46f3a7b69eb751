"""Extractive question answering: long passages in windows, answers as token positions, and positions back to text.

The answer to a question stands in its passage, and the model points at its first and last token (Rajpurkar et al. 2016;
Devlin et al. 2019, section 4.2). Three things need care, and each has its function here:

- `windows`: a passage that is too long is read several times, through a window that moves;
- `answer_positions`: the characters that people marked become token positions. A window that does not hold the whole
  answer points at [CLS], position 0: "not here";
- `best_answers`: of all pairs of a start and an end, those that no answer can have are left out (in the question, in two
  windows, the end before the start, too long), the windows of a passage are compared, and the text is cut from the
  original by its characters, so that case, accents and spaces are those of the passage.

Rows are `[CLS] question [SEP] passage [SEP]`, token types 0 and 1, as every BERT has them.

Letters: Q questions, W windows, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_lib.errors import DataError
from course_lib.long_texts import window_begins

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_SPECIAL = 3  # [CLS] question [SEP] passage [SEP]
_COMPARED = 20  # answers among which a probability is shared out, however few are asked for
_CHUNK = 128  # windows scored at once; more would leave the processor's caches
_TEXTS = 1000  # tokenised at once


@dataclass(frozen=True)
class Windows:
    """What the model reads, W rows of different lengths, and where each of them comes from."""

    columns: dict[str, list[list[int]]]  # input_ids, token_type_ids, attention_mask
    contexts: tuple[str, ...]  # the passage of each question, Q
    question_of: np.ndarray  # (W,) the number of the window's question, rising
    passage_start: np.ndarray  # (W,) position in the row of the first passage token
    passage_end: np.ndarray  # (W,) position after the last one
    first_token: np.ndarray  # (W,) which token of the whole passage stands at passage_start
    token_offsets: tuple[np.ndarray, ...]  # for each question, (tokens of its passage, 2): start and end characters
    cut_questions: tuple[int, ...]  # questions that were shortened to max_question_tokens

    def __len__(self) -> int:
        """How many windows."""
        return len(self.question_of)

    def offsets(self, window: int) -> np.ndarray:
        """Start and end characters, in the passage, of the passage tokens of a window, (tokens, 2)."""
        begin, count = self.first_token[window], self.passage_end[window] - self.passage_start[window]
        return self.token_offsets[self.question_of[window]][begin : begin + count]


def windows(
    questions: Sequence[str],
    contexts: Sequence[str],
    tokenizer: Any,
    max_tokens: int = 384,
    stride: int = 128,
    max_question_tokens: int = 64,
) -> Windows:
    """Questions with their passages as rows of at most `max_tokens`.

    Every passage is tokenised once, however many questions it has; windows are slices of its tokens. The result is that
    of the fast tokenizers' `return_overflowing_tokens`.

    Args:
        questions, contexts: as many of one as of the other; contexts[i] is the passage of questions[i].
        tokenizer: a fast one of a BERT.
        max_tokens: in a row; [CLS], the question and two [SEP] count too.
        stride: passage tokens that two neighbours share: an answer of up to that many is whole in one of them. (The
            original BERT's doc_stride is the other number, how far the window moves.)
        max_question_tokens: longer questions lose their end, so that there is room for the passage; they are listed in
            `cut_questions`.

    Raises:
        DataError: another number of questions than contexts.
        TypeError: one of them is no text.
        ValueError: numbers that leave no room for the passage.
    """
    import numpy as np

    _check_texts(questions, contexts)
    question_ids = [ids for ids, _ in _tokenise(tokenizer, list(questions))]
    cut = tuple(number for number, ids in enumerate(question_ids) if len(ids) > max_question_tokens)
    question_ids = [ids[:max_question_tokens] for ids in question_ids]
    places = {context: place for place, context in enumerate(dict.fromkeys(contexts))}
    passages = _tokenise(tokenizer, list(places))
    columns: dict[str, list[list[int]]] = {"input_ids": [], "token_type_ids": [], "attention_mask": []}
    question_of, start, end, first = [], [], [], []
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    for number, (asked, context) in enumerate(zip(question_ids, contexts, strict=True)):
        ids, _ = passages[places[context]]
        before = [cls, *asked, sep]
        room = max_tokens - len(asked) - _SPECIAL
        if not 0 <= stride < room:
            raise ValueError(
                f"Question {number} has {len(asked)} tokens, which leaves {max(room, 0)} of {max_tokens} for the passage, "
                f"and stride is {stride}; it must be 0 or more and smaller than that: give more max_tokens, a smaller "
                "stride, or fewer max_question_tokens."
            )
        for begin in window_begins(len(ids), room, stride):
            part = ids[begin : begin + room]
            columns["input_ids"].append([*before, *part, sep])
            columns["token_type_ids"].append([0] * len(before) + [1] * (len(part) + 1))
            columns["attention_mask"].append([1] * (len(before) + len(part) + 1))
            question_of.append(number)
            start.append(len(before))
            end.append(len(before) + len(part))
            first.append(begin)
    numbers = (np.array(values, dtype=np.int64) for values in (question_of, start, end, first))
    return Windows(columns, tuple(contexts), *numbers, tuple(passages[places[c]][1] for c in contexts), cut)


def _check_texts(questions: Sequence[str], contexts: Sequence[str]) -> None:
    for name, texts in (("questions", questions), ("contexts", contexts)):
        if isinstance(texts, str):
            raise TypeError(f"{name} is one text; give a list of texts, for example [text].")
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"{name}[{number}] is a {type(text).__name__}; every item must be a text (str).")
    if len(questions) != len(contexts):
        raise DataError(f"There are {len(questions)} questions and {len(contexts)} contexts; each question needs one.")


def _tokenise(tokenizer: Any, texts: list[str]) -> list[tuple[list[int], np.ndarray]]:
    """The ids and the character offsets (tokens, 2) of each text, without special tokens."""
    import numpy as np

    result = []
    for begin in range(0, len(texts), _TEXTS):
        encoded = tokenizer(
            texts[begin : begin + _TEXTS], add_special_tokens=False, return_offsets_mapping=True,
            return_attention_mask=False, return_token_type_ids=False, verbose=False,
        )  # fmt: skip
        for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            result.append((ids, np.array(offsets, dtype=np.int64).reshape(-1, 2)))
    return result


def answer_positions(windows: Windows, answers: Sequence[Any]) -> dict[str, list[int]]:
    """Where each window's answer starts and ends: columns start_positions and end_positions, for the loss.

    [CLS], position 0, stands where the window does not hold the whole answer, where the question has none, and where
    the answer has no token (a control character alone). An answer that begins or ends inside a token gets the whole
    token.

    Args:
        answers: for each question its answers, objects with `text` and `start` (a character of the passage); the first
            one is taken. An empty list or None: the passage has no answer.

    Raises:
        DataError: another number of answers than questions, or an answer that does not stand where it says.
    """
    import numpy as np

    if len(answers) != len(windows.contexts):
        raise DataError(
            f"There are {len(windows.contexts)} questions and {len(answers)} lists of answers; give one list each."
        )
    wanted = np.full((len(answers), 2), -1)  # first and last token in the whole passage
    for number, (context, given, offsets) in enumerate(
        zip(windows.contexts, answers, windows.token_offsets, strict=True)
    ):
        answer = _first(given)
        if answer is None:
            continue
        begin, end = answer.start, answer.start + len(answer.text)
        if begin < 0 or context[begin:end] != answer.text:
            raise DataError(
                f"The answer {_start(answer.text)!r} of question {number} should start at character {answer.start} of its "
                f"passage, but {_start(context[max(begin, 0) : max(end, 0)])!r} stands there; correct its start."
            )
        first = np.searchsorted(offsets[:, 1], begin, side="right")  # the first token that ends after `begin`
        last = np.searchsorted(offsets[:, 0], end, side="left") - 1  # the last one that starts before `end`
        if first <= last:
            wanted[number] = first, last
    first, last = wanted[windows.question_of].T
    length = windows.passage_end - windows.passage_start
    held = (first >= windows.first_token) & (last < windows.first_token + length) & (first >= 0)
    shift = windows.passage_start - windows.first_token
    return {
        "start_positions": np.where(held, first + shift, 0).tolist(),
        "end_positions": np.where(held, last + shift, 0).tolist(),
    }


def _first(given: Any) -> Any:
    if given is None or hasattr(given, "text"):
        return given if given is None or given.text else None
    return next((answer for answer in given if answer.text), None)


@dataclass(frozen=True)
class SpanPrediction:
    """A possible answer: context[start_char:end_char], or "there is none", with text "" and no characters."""

    text: str
    start_char: int | None
    end_char: int | None
    score: float  # start logit plus end logit
    probability: float  # share among the best answers, see `best_answers`

    @property
    def no_answer(self) -> bool:
        """Does this say that the passage has no answer?"""
        return self.start_char is None


def best_answers(
    start_logits: Any,
    end_logits: Any,
    windows: Windows,
    n_best: int = 20,
    max_answer_tokens: int = 30,
    no_answer_threshold: float | None = 0.0,
) -> list[list[SpanPrediction]]:
    """For each question its best answers, the first one being the model's.

    Every pair of a start and an end in the passage of a window is looked at, none is left to chance: the end not before
    the start, at most `max_answer_tokens` tokens. The same characters in two windows count once, with the higher score.

    "No answer" scores what start and end give to [CLS] in the window that is least sure of it, because one window with
    the answer is enough. It is the first of the list where it beats the best answer by more than the threshold
    (Devlin et al. 2019, section 4.3), and else in its place by score, though never the first.

    A probability is the softmax over the 20 best scores (over `n_best`, if that is more) and "no answer", as in the
    original BERT. It compares the candidates with each other; it is not how often such an answer is right.

    Args:
        start_logits, end_logits: (W, T), what is behind the end of a row being left out; or W rows of (tokens,).
        n_best: how many answers a question, "no answer" not counted.
        max_answer_tokens: in word pieces.
        no_answer_threshold: to be chosen on dev for SQuAD 2.0; None where every question has an answer, as in
            SQuAD 1.1: "no answer" is then only said of a passage without a token.

    Raises:
        ValueError: scores for other windows, scores that are no numbers, or a number below 1.
    """
    import numpy as np

    if n_best < 1 or max_answer_tokens < 1:
        raise ValueError(f"n_best is {n_best} and max_answer_tokens {max_answer_tokens}; at least 1 of each is needed.")
    starts, ends = _as_matrix(start_logits, windows, "start_logits"), _as_matrix(end_logits, windows, "end_logits")
    kept = max(n_best, _COMPARED)
    scores, first, last = _best_pairs(starts, ends, windows, kept, max_answer_tokens)  # (W, up to kept) each
    nulls = np.full(len(windows.contexts), np.inf)
    np.minimum.at(nulls, windows.question_of, (starts[:, 0] + ends[:, 0]).double().numpy())
    question = np.repeat(windows.question_of, scores.shape[1])
    shift = np.repeat(windows.first_token - windows.passage_start, scores.shape[1])
    scores, first, last = scores.ravel(), first.ravel() + shift, last.ravel() + shift
    valid = np.isfinite(scores)
    question, scores, first, last = question[valid], scores[valid], first[valid], last[valid]
    # From token to character, all at once: the passages of the questions laid end to end.
    lengths = np.array([len(offsets) for offsets in windows.token_offsets], dtype=np.int64)
    base = np.concatenate([[0], np.cumsum(lengths)[:-1]])[question]
    flat = np.concatenate([*windows.token_offsets, np.empty((0, 2), dtype=np.int64)])
    begin, end = flat[base + first, 0], flat[base + last, 1]
    order = np.lexsort((end, begin, -scores, question))  # by question, the best first
    keys = np.stack([question, begin, end], axis=1)[order]
    once = np.sort(np.unique(keys, axis=0, return_index=True)[1])  # the best of equal ones, still in order
    chosen = order[once]
    borders = np.searchsorted(question[chosen], np.arange(len(windows.contexts) + 1))
    answers = []
    for number, context in enumerate(windows.contexts):
        part = chosen[borders[number] : borders[number + 1]][:kept]
        null = float(nulls[number])
        answers.append(_listed(context, begin[part], end[part], scores[part], null, n_best, no_answer_threshold))
    return answers


def _as_matrix(logits: Any, windows: Windows, name: str) -> Tensor:
    """Scores as a float tensor (W, T) on the processor."""
    import torch

    if isinstance(logits, (list, tuple)):
        rows = [torch.as_tensor(row, dtype=torch.float32) for row in logits]
        matrix = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True) if rows else torch.zeros(0, 1)
        lengths = torch.tensor([len(row) for row in rows])
    else:
        matrix = torch.as_tensor(logits).detach().float().cpu()
        lengths = torch.full(matrix.shape[:1], matrix.shape[-1])
    if matrix.dim() != 2 or len(matrix) != len(windows):
        raise ValueError(
            f"{name} has shape {tuple(matrix.shape)}; (W, T) with the {len(windows)} windows, in their order, is expected."
        )
    needed = torch.from_numpy(windows.passage_end) + 1
    if bool((lengths < needed).any()):
        number = int((lengths < needed).nonzero()[0])
        raise ValueError(
            f"{name}[{number}] has {int(lengths[number])} scores for {int(needed[number])} tokens; each token needs one."
        )
    read = torch.arange(matrix.shape[1])[None] < needed[:, None]
    if not bool(torch.isfinite(matrix[read]).all()):
        raise ValueError(f"{name} holds scores that are no finite numbers; look for a loss of nan in the training.")
    return matrix


def _best_pairs(
    starts: Tensor, ends: Tensor, windows: Windows, count: int, max_answer_tokens: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `count` best pairs of each window: scores, and positions of start and end, each (W, count).

    -inf is the score where a window has fewer pairs.
    """
    import numpy as np
    import torch
    from torch.nn import functional

    scores = np.full((len(windows), count), -np.inf)
    first, last = np.zeros((2, len(windows), count), dtype=np.int64)
    for begin in range(0, len(windows), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        start, end = torch.from_numpy(windows.passage_start[part]), torch.from_numpy(windows.passage_end[part])
        width = int(end.max())
        place = torch.arange(width)[None]
        inside = (place >= start[:, None]) & (place < end[:, None])
        from_start = starts[part, :width].masked_fill(~inside, -torch.inf)
        to_end = ends[part, :width].masked_fill(~inside, -torch.inf)
        longest = min(max_answer_tokens, width)
        # (W, T, longest): for each start the scores of the ends that it may have; a view, nothing is copied.
        reach = functional.pad(to_end, (0, longest - 1), value=-torch.inf).unfold(1, longest, 1)
        # The best `count` pairs have at most `count` starts, and these are among the best by their own best end.
        by_start = (from_start + reach.amax(dim=-1)).topk(min(count, width), dim=1).indices
        rows = torch.arange(len(by_start))[:, None]
        pairs = (from_start[rows, by_start][..., None] + reach[rows, by_start]).flatten(1)
        best = pairs.topk(min(count, pairs.shape[1]), dim=1)
        found = best.values.shape[1]
        chosen = by_start.gather(1, best.indices // longest)
        scores[part, :found] = best.values.numpy()
        first[part, :found] = chosen.numpy()
        last[part, :found] = (chosen + best.indices % longest).numpy()
    return scores, first, last


def _listed(
    context: str, begin: Any, end: Any, scores: Any, null: float, n_best: int, threshold: float | None
) -> list[SpanPrediction]:
    """The answers of one question, given best first, with "no answer" in its place."""
    import numpy as np

    with_null = threshold is not None or not len(scores)
    every = np.append(scores, null) if with_null else scores
    shares = np.exp(every - every.max())
    shares /= shares.sum()
    listed = (values[:n_best].tolist() for values in (begin, end, scores, shares[: len(scores)]))
    found = [SpanPrediction(context[b:e], b, e, score, share) for b, e, score, share in zip(*listed, strict=True)]
    if with_null:
        wins = not found or null - found[0].score > threshold
        place = 0 if wins else max(1, sum(answer.score >= null for answer in found))
        found.insert(place, SpanPrediction("", None, None, null, float(shares[-1])))
    return found


def _start(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
