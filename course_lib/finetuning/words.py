"""Language modelling: hidden words from both sides, or the next word from the left.

Letters: n texts, B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib import metrics
from course_lib.datasets import Document
from course_lib.finetuning.tasks import EVALUATION_TOKENS, Prepared, Task, WrongInput, as_dictionary
from course_lib.heads import BertForMaskedLM, BertLMHeadModel
from course_lib.masking import IGNORED, MaskedBatches
from course_lib.training import Evaluation, ModelLoss

_LISTED = 5  # words that a prediction names


class OfWords(Task):
    """What both share: documents in, words out."""

    data, metric = "documents", "perplexity"
    score_names = ("loss", "perplexity", "accuracy")
    max_tokens = 128

    def configuration(self) -> dict[str, Any]:
        """The classes are the vocabulary's."""
        return {}

    def prepare(self, examples: Sequence[Document], tokenizer: Any, *, labelled: bool = True) -> Prepared:
        """Column input_ids: whole sentences of a document one after the other, as many as fit a row."""
        longest = self.longest(tokenizer)
        rows, cut = [], 0
        for document in examples:
            row: list[int] = []
            for ids in tokenizer(list(document.sentences), add_special_tokens=False, verbose=False)["input_ids"]:
                if row and len(row) + len(ids) > longest - 2:
                    rows.append(row)
                    row = []
                cut += max(0, len(ids) - (longest - 2))
                row = row + ids[: longest - 2]
            if row:
                rows.append(row)
        cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        notes = [f"{cut:,} tokens of sentences over {longest} tokens were cut."] if cut else []
        return Prepared({"input_ids": [[cls, *row, sep] for row in rows]}, examples, notes)

    def scores(self, found: Evaluation, prepared: Prepared) -> dict[str, float]:
        """loss, perplexity, accuracy: the share of words guessed exactly."""
        return {
            "loss": found.loss,
            "perplexity": metrics.perplexity(found.loss),
            "accuracy": float(found.outputs["right"].sum() / found.outputs["labelled"].sum()),
        }

    def report(self, found: Evaluation, prepared: Prepared) -> dict[str, float]:
        """The scores: there is no more to say."""
        return self.scores(found, prepared)

    def keep(self, answer: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Counts of words, and of those guessed right, (B,): the scores (B, T, V) would not fit the memory."""
        labels = self.targets(batch)
        counts = labels != IGNORED
        right = torch.zeros_like(labels, dtype=torch.bool)
        right[counts] = answer.logits.argmax(dim=-1).cpu() == labels[counts].cpu()
        return {"right": right.sum(dim=1), "labelled": counts.sum(dim=1)}

    def targets(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(B, T): the word that each token must give, -100 for none."""
        return batch["labels"]


class MaskedWords(OfWords):
    """Some words are hidden, others each time through, and guessed from both sides."""

    name = "masked-words"

    def head(self) -> type:
        """`BertForMaskedLM`."""
        return BertForMaskedLM

    def loss(self) -> ModelLoss:
        """The head's; only the hidden places are scored."""
        return ModelLoss(arguments={"full_logits": False})

    def batches(
        self, prepared: Prepared, tokenizer: Any, *, size: int | None, tokens: int | None, shuffle: int | None
    ) -> Any:
        """With other hidden words each time."""
        return MaskedBatches(prepared.columns["input_ids"], tokenizer, tokens, size, shuffle)

    def reading_batches(self, prepared: Prepared, tokenizer: Any) -> Any:
        """With always the same hidden words; for prediction, as they are."""
        if "attention_mask" in prepared.columns:
            return super().reading_batches(prepared, tokenizer)
        return MaskedBatches(prepared.columns["input_ids"], tokenizer, EVALUATION_TOKENS)

    def examples(self, inputs: Iterable[Any]) -> list[Any]:
        """From texts with [MASK] in them."""
        return [_Gap(as_dictionary(given, number, ("text",))["text"]) for number, given in enumerate(inputs)]

    def prepare(self, examples: Sequence[Any], tokenizer: Any, *, labelled: bool = True) -> Prepared:
        """Documents for training; texts with [MASK] for prediction."""
        if labelled:
            return super().prepare(examples, tokenizer)
        for number, example in enumerate(examples):
            if tokenizer.mask_token not in example.text:
                raise WrongInput(number, f"has no {tokenizer.mask_token}; write it where the word is to be guessed.")
        longest = self.longest(tokenizer)
        encoded = tokenizer([e.text for e in examples], truncation=True, max_length=longest)
        for number, ids in enumerate(encoded["input_ids"]):
            if tokenizer.mask_token_id not in ids:
                raise WrongInput(
                    number,
                    f"has no {tokenizer.mask_token} among the first {longest} tokens, and no more are read; leave out "
                    "something before it.",
                )
        columns = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
        return Prepared(columns, examples, more={"tokenizer": tokenizer})

    def keep(self, answer: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Counts, in training; for prediction the scores at the first [MASK], (B, V)."""
        if "labels" in batch:
            return super().keep(answer, batch)
        return {"logits": answer.logits}

    def predictions(self, outputs: Mapping[str, Tensor], prepared: Prepared) -> list[dict[str, Any]]:
        """text, label: the likeliest word at the first [MASK], score: its probability, others."""
        tokenizer = prepared.more["tokenizer"]
        found = []
        for example, ids, logits in zip(
            prepared.examples, prepared.columns["input_ids"], outputs["logits"], strict=True
        ):
            best = logits[ids.index(tokenizer.mask_token_id)].softmax(dim=-1).topk(_LISTED)
            words = tokenizer.convert_ids_to_tokens(best.indices.tolist())
            ranked = [{"label": w, "score": s} for w, s in zip(words, best.values.tolist(), strict=True)]
            found.append({"text": example.text, **ranked[0], "others": ranked[1:]})
        return found


class NextWords(OfWords):
    """Each word from those before it: a decoder, in which no token sees what comes after it."""

    name = "next-words"

    def head(self) -> type:
        """`BertLMHeadModel`."""
        return BertLMHeadModel

    def configuration(self) -> dict[str, Any]:
        """No looking ahead."""
        return {"is_decoder": True}

    def loss(self) -> ModelLoss:
        """The head's, a mean over all tokens that have one before them."""
        return ModelLoss(shifted=True, arguments={"full_logits": False})

    def prepare(self, examples: Sequence[Any], tokenizer: Any, *, labelled: bool = True) -> Prepared:
        """Columns input_ids, attention_mask, and labels: the same ids."""
        if not labelled:
            rows = [tokenizer(e.text, add_special_tokens=False)["input_ids"] for e in examples]
            rows = [[tokenizer.cls_token_id, *row] for row in rows]
            return Prepared({"input_ids": rows}, examples, more={"tokenizer": tokenizer})
        prepared = super().prepare(examples, tokenizer)
        rows = prepared.columns["input_ids"]
        prepared.columns |= {"attention_mask": [[1] * len(row) for row in rows], "labels": rows}
        return prepared

    def targets(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The word after each token."""
        return torch.nn.functional.pad(batch["labels"][:, 1:], (0, 1), value=IGNORED)

    def examples(self, inputs: Iterable[Any]) -> list[Any]:
        """From beginnings of texts."""
        return [_Gap(as_dictionary(given, number, ("text",))["text"]) for number, given in enumerate(inputs)]

    def generate(self, model: Any, prepared: Prepared, tokens: int = 20) -> list[dict[str, Any]]:
        """text, label: how the model goes on, word by word, always the likeliest; score: the mean probability.

        Raises:
            WrongInput: a beginning that leaves no position for a word.
        """
        tokenizer, found = prepared.more["tokenizer"], []
        device, positions = next(model.parameters()).device, model.config.max_position_embeddings
        for number, (example, row) in enumerate(zip(prepared.examples, prepared.columns["input_ids"], strict=True)):
            if len(row) >= positions:
                raise WrongInput(
                    number,
                    f"has {len(row)} tokens with {tokenizer.cls_token}, and this model has positions for {positions}, those of "
                    "the new words among them; give a shorter beginning.",
                )
            start = torch.tensor([row], device=device)
            whole = model.generate(start, min(tokens, positions - len(row)))
            with torch.no_grad():
                chances = model(whole).logits.softmax(dim=-1)[0, len(row) - 1 : -1]
            new = whole[0, len(row) :]
            score = chances.gather(1, new[:, None]).mean().item() if len(new) else 1.0
            found.append({"text": example.text, "label": tokenizer.decode(new.tolist()), "score": score})
        return found


class _Gap:
    """A text whose words are to be guessed."""

    def __init__(self, text: str) -> None:
        self.text = text
