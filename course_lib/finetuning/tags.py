"""A tag for each word: names of persons and places, parts of speech.

Letters: n sentences, B batch, T tokens, K tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from course_lib import metrics
from course_lib.alignment import align_labels, entities_from_tags, word_offsets, word_predictions
from course_lib.datasets import TaggedSentence
from course_lib.finetuning.tasks import Prepared, Task, WrongInput
from course_lib.heads import BertForTokenClassification
from course_lib.texts import text_fault
from course_lib.training import Evaluation


@dataclass(frozen=True)
class GivenSentence(TaggedSentence):
    """A sentence to predict from: its words in the text that was given, or, if words were given, in one made of them."""

    text: str
    offsets: tuple[tuple[int, int], ...]  # of each word in the text


class Tags(Task):
    """One of K tags a word; the first piece of a word speaks for it."""

    name, data, metric = "tags", "tags", "entity_f1"
    score_names = ("loss", "entity_f1", "tag_accuracy")

    def head(self) -> type:
        """`BertForTokenClassification`: a linear layer on every token."""
        return BertForTokenClassification

    def prepare(self, examples: Sequence[TaggedSentence], tokenizer: Any, *, labelled: bool = True) -> Prepared:
        """Columns input_ids, attention_mask, token_type_ids, and labels, -100 where none counts."""
        alignment = align_labels(
            tokenizer,
            [sentence.words for sentence in examples],
            [sentence.tags for sentence in examples] if labelled else None,
            self.longest(tokenizer),
        )
        notes = [str(alignment)] if any(alignment.cut) or any(alignment.empty) else []
        return Prepared(dict(alignment.columns), examples, notes, {"alignment": alignment})

    def _word_tags(self, logits: Tensor, prepared: Prepared) -> list[list[str]]:
        return word_predictions(prepared.more["alignment"], logits.argmax(dim=-1), self.labels).labels

    def _gold(self, prepared: Prepared) -> list[list[str]]:
        return [[self.labels[tag] for tag in sentence.tags] for sentence in prepared.examples]

    def scores(self, found: Evaluation, prepared: Prepared) -> dict[str, float]:
        """loss, entity_f1 over whole names, tag_accuracy over words."""
        gold, guessed = self._gold(prepared), self._word_tags(found.logits, prepared)
        pairs = [(a, b) for one, other in zip(gold, guessed, strict=True) for a, b in zip(one, other, strict=True)]
        return {
            "loss": found.loss,
            "entity_f1": metrics.entity_scores(gold, guessed).f1,
            "tag_accuracy": sum(a == b for a, b in pairs) / len(pairs),
        }

    def report(self, found: Evaluation, prepared: Prepared) -> metrics.EntityScores:
        """Names by type, also words that were cut off: they count as not found."""
        return metrics.entity_scores(self._gold(prepared), self._word_tags(found.logits, prepared))

    def examples(self, inputs: Iterable[Any]) -> list[GivenSentence]:
        """From sentences, whose words are split at spaces (Chinese: at characters), or lists of words."""
        found = []
        for number, given in enumerate(inputs):
            if isinstance(given, Mapping):
                given = given.get("words", given.get("text"))
            text = given if isinstance(given, str) else None
            texts = given if text is None else [text]
            if not isinstance(texts, list | tuple) or not all(isinstance(one, str) for one in texts):
                raise WrongInput(number, "is no sentence; a text or a list of words is expected.")
            for one in texts:
                if fault := text_fault(one):
                    raise WrongInput(number, f"has {fault[0]}; {fault[1]}.")
            if text is not None:
                given = split_words(text)
            if not given:
                raise WrongInput(number, "has no words; a text or a list of words is expected.")
            text, offsets = _joined(given) if text is None else (text, word_offsets(text, given))
            found.append(GivenSentence(tuple(given), (0,) * len(given), text, tuple(offsets)))
        return found

    def predictions(self, outputs: Mapping[str, Tensor], prepared: Prepared) -> list[dict[str, Any]]:
        """text, label: the names found, score: the lowest probability among their tags, or among all tags.

        start and end of a name are characters of text, which is the one that was given; of words, one made of them.
        """
        logits = outputs["logits"]
        best = logits.softmax(dim=-1).amax(dim=-1).tolist()
        found = []
        for number, (sentence, tags) in enumerate(
            zip(prepared.examples, self._word_tags(logits, prepared), strict=True)
        ):
            sure = dict.fromkeys(range(len(tags)), 1.0)
            for token, word in reversed(list(enumerate(prepared.more["alignment"].word_ids[number]))):
                if word is not None:
                    sure[word] = best[number][token]
            names = [
                {
                    "type": entity.type,
                    "text": entity.text,
                    "start": entity.start_char,
                    "end": entity.end_char,
                    "score": min(sure[word] for word in range(entity.start_word, entity.end_word)),
                }
                for entity in entities_from_tags(sentence.words, tags, sentence.text, sentence.offsets)
            ]
            score = min([name["score"] for name in names] or list(sure.values()))
            words = list(sentence.words)
            found.append({"text": sentence.text, "label": names, "score": score, "words": words, "tags": tags})
        return found


def split_words(text: str) -> list[str]:
    """Words at spaces, with punctuation apart; Chinese, Japanese and Korean characters one by one."""
    import re

    return re.findall(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]|\w+(?:[-'’.]\w+)*|[^\w\s]", text)


def _joined(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """A text of the words, and where each stands in it. Single Chinese characters stand without spaces."""
    text, offsets = "", []
    for word in words:
        wide = len(word) == 1 and ord(word) > 0x2E7F
        if text and not wide and not (ord(text[-1]) > 0x2E7F):
            text += " "
        offsets.append((len(text), len(text) + len(word)))
        text += word
    return text, offsets
