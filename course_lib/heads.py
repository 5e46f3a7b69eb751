"""The eight task heads on one encoder, named as in transformers: what each reads, its layer, its labels, its loss.

    head                             reads                layer                      labels               loss
    BertForPreTraining               tokens and [CLS]     MLM head, H -> 2           (B, T) and (B,)      sum of two cross entropies
    BertForMaskedLM                  tokens               MLM head                   (B, T)               cross entropy
    BertLMHeadModel                  tokens               MLM head                   (B, T), next token   cross entropy
    BertForNextSentencePrediction    pooler               H -> 2                     (B,), 0 = continues  cross entropy
    BertForSequenceClassification    pooler               H -> K                     (B,) or (B, K)       by problem_type
    BertForMultipleChoice            pooler of each       H -> 1                     (B,)                 cross entropy over choices
    BertForTokenClassification       tokens               H -> K                     (B, T)               cross entropy
    BertForQuestionAnswering         tokens               H -> 2                     start, end (B,)      mean of two cross entropies

The label -100 is ignored everywhere. Letters: B batch, T tokens, H hidden size, V vocabulary, K classes, M choices.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.bert import BertModel, BertOutput, activation, initialise
from course_lib.config import BertConfig
from course_lib.dropout import Dropout
from course_lib.inputs import has_numbers, recording

IGNORED = -100  # cross entropy's own ignore_index
_EVEN = 4  # bits of a number of rows that are kept when it is rounded up


@dataclass
class HeadOutput:
    """A head's answer; `loss` is None without labels."""

    loss: Tensor | None
    logits: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class PreTrainingOutput:
    """Both answers of pretraining; `loss` needs both labels."""

    loss: Tensor | None
    prediction_logits: Tensor  # (B, T, V)
    seq_relationship_logits: Tensor  # (B, 2)
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    word_loss: Tensor | None = None  # the two terms of the loss, each a mean over items of its own
    sentence_loss: Tensor | None = None


@dataclass
class QuestionAnsweringOutput:
    """Scores for where an answer starts and ends."""

    loss: Tensor | None
    start_logits: Tensor  # (B, T)
    end_logits: Tensor  # (B, T)
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class Head(nn.Module):
    """What all heads share: an encoder called `bert`, loading, saving, another vocabulary.

    What `forward` takes beside the arguments that it names goes on to the encoder: position_ids, inputs_embeds,
    task_type_ids, output_hidden_states, output_attentions.
    """

    pooled = True  # does the head read the pooler?

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = BertModel(config, add_pooling_layer=self.pooled)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = "default", **overrides: Any) -> Self:
        """As `BertModel.from_pretrained`; what is new in the head is said in a warning and in `load_report`."""
        from course_lib.checkpoint import load

        return load(cls, name_or_path, **overrides)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write config.json and model.safetensors into a folder, as transformers reads them.

        The tokenizer is not part of the model: `tokenizer.save_pretrained(folder)` puts it beside.
        """
        from course_lib.checkpoint import save

        return save(self, folder)

    def resize_token_embeddings(self, size: int) -> None:
        """Give the vocabulary another size V: rows that stay keep their numbers, new rows are drawn.

        Raises:
            ValueError: a size without a row for padding.
        """
        table = self.bert.embeddings.word_embeddings
        if size <= (table.padding_idx or 0):
            raise ValueError(
                f"size is {size}; the vocabulary needs a row for padding, which is id {table.padding_idx}."
            )
        table.weight = _resized(table.weight, size, self.config.initializer_range)
        table.num_embeddings = size
        # A new configuration, because other models may share the old one.
        self.config = self.bert.config = dataclasses.replace(self.config, vocab_size=size)


class ClassifierHead(Head):
    """Dropout and one linear layer on top of the encoder."""

    def __init__(self, config: BertConfig, classes: int) -> None:
        super().__init__(config)
        dropout = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = Dropout(dropout)
        self.classifier = nn.Linear(config.hidden_size, classes)
        initialise(self.classifier, config.initializer_range)


class PredictionTransform(nn.Module):
    """Linear, activation, LayerNorm: the first half of the masked-word head, (..., H) -> (..., H)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.hidden_act)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H)."""
        return self.LayerNorm(self.act(self.dense(x)))


class Predictions(nn.Module):
    """The masked-word head: a transform, then a score for each word of the vocabulary, (..., H) -> (..., V).

    The decoder's weight is the word table itself (`tie_weights`): the vector that puts a word in also reads it out.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = PredictionTransform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))  # the decoder's; released files have both names

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., V), scores and not yet probabilities."""
        return self.decoder(self.transform(x))


class PreTrainingHeads(nn.Module):
    """`cls` of transformers: the masked-word head, the next-sentence layer, or both."""

    def __init__(self, config: BertConfig, words: bool, sentences: bool) -> None:
        super().__init__()
        if words:
            self.predictions = Predictions(config)
        if sentences:
            self.seq_relationship = nn.Linear(config.hidden_size, 2)
        initialise(self, config.initializer_range)


class WordHead(Head):
    """A head that predicts words, with its decoder tied to the word table."""

    sentences = False  # the next-sentence layer too?

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.cls = PreTrainingHeads(config, words=True, sentences=self.sentences)
        self.tied = config.other.get("tie_word_embeddings", True)
        self.tie_weights()

    def tie_weights(self) -> None:
        """Make the decoder's weight the word table, and its bias the head's: one parameter each, under two names.

        A checkpoint whose configuration says `tie_word_embeddings: false` keeps them apart; BERT's own are tied.
        """
        if self.tied:
            predictions = self.cls.predictions
            predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight
            predictions.decoder.bias = predictions.bias

    def _apply(self, *arguments: Any, **options: Any) -> Self:
        """Behind `.to`, `.cuda`, `.half`: some devices get new parameters there, one for each name."""
        super()._apply(*arguments, **options)
        self.tie_weights()
        return self

    def resize_token_embeddings(self, size: int) -> None:
        """As in every head; the decoder and its bias follow, and what was tied stays tied."""
        super().resize_token_embeddings(size)
        predictions, spread = self.cls.predictions, self.config.initializer_range
        predictions.bias = _resized(predictions.bias, size, 0.0)
        predictions.decoder.out_features = size
        if not self.tied:
            predictions.decoder.weight = _resized(predictions.decoder.weight, size, spread)
            predictions.decoder.bias = _resized(predictions.decoder.bias, size, 0.0)
        self.tie_weights()

    def words(self, tokens: Tensor, labels: Tensor | None, full_logits: bool) -> tuple[Tensor, Tensor | None]:
        """Scores and loss. With `full_logits` False and labels, only the labelled positions are scored: (labelled, V).

        Most positions have no label, and the vocabulary is the widest layer of all: leaving them out saves most of the
        head's time and memory, and changes no gradient. The loss of a batch without any label is NaN, a mean of nothing.
        """
        if labels is None:
            return self.cls.predictions(tokens), None
        check_labels("labels", labels, tuple(tokens.shape[:2]), self.config.vocab_size)
        if full_logits:
            logits = self.cls.predictions(tokens)
            return logits, cross_entropy(logits, labels)
        chosen = (labels != IGNORED).flatten().nonzero().squeeze(1)
        tokens, labels = tokens.flatten(0, 1)[chosen], labels.flatten()[chosen]  # (labelled, H), (labelled,)
        surplus = _even(len(chosen)) - len(chosen)
        tokens, labels = F.pad(tokens, (0, 0, 0, surplus)), F.pad(labels, (0, surplus), value=IGNORED)
        logits = self.cls.predictions(tokens)
        return logits[: len(chosen)], cross_entropy(logits, labels)


def _even(count: int) -> int:
    """A number of rows rounded up, by an eighth at most, so that few different ones occur.

    Each batch has another number of labels. A processor's library prepares a product of matrices anew for each new
    size, and keeps what it prepared: after some hundred sizes that is more memory than the model takes.
    """
    step = 1 << max(0, (count - 1).bit_length() - _EVEN) if count else 1
    return -(-count // step) * step


class BertForPreTraining(WordHead):
    """Masked words from every token, next sentence from the pooler; the loss is the plain sum."""

    sentences = True

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        full_logits: bool = True,
        **encoder: Any,
    ) -> PreTrainingOutput:
        """labels (B, T): the id where a word was hidden, -100 elsewhere. next_sentence_label (B,): 0 continues, 1 random.

        As in transformers, the loss is None unless both are given.
        """
        out = self.bert(input_ids, attention_mask, token_type_ids, **encoder)
        both = labels is not None and next_sentence_label is not None
        logits, word_loss = self.words(out.last_hidden_state, labels if both else None, full_logits)
        sentences = self.cls.seq_relationship(out.pooler_output)
        loss = sentence_loss = None
        if both:
            check_labels("next_sentence_label", next_sentence_label, (len(sentences),), 2)
            sentence_loss = cross_entropy(sentences, next_sentence_label)
            loss = word_loss + sentence_loss
        return PreTrainingOutput(loss, logits, sentences, out.hidden_states, out.attentions, word_loss, sentence_loss)


class BertForMaskedLM(WordHead):
    """Masked words alone."""

    pooled = False

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        full_logits: bool = True,
        **encoder: Any,
    ) -> HeadOutput:
        """labels (B, T): the id where a word was hidden, -100 elsewhere."""
        out = self.bert(input_ids, attention_mask, token_type_ids, **encoder)
        logits, loss = self.words(out.last_hidden_state, labels, full_logits)
        return HeadOutput(loss, logits, out.hidden_states, out.attentions)


class BertLMHeadModel(WordHead):
    """The next word at every position. Only with `is_decoder` may a token not see what comes after it."""

    pooled = False

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        full_logits: bool = True,
        **encoder: Any,
    ) -> HeadOutput:
        """labels (B, T): usually input_ids themselves; they are moved by one here, so that each token predicts the next."""
        out = self.bert(input_ids, attention_mask, token_type_ids, **encoder)
        tokens = out.last_hidden_state
        if labels is not None:
            check_labels("labels", labels, tuple(tokens.shape[:2]), self.config.vocab_size)
            labels = F.pad(labels[:, 1:], (0, 1), value=IGNORED)  # nothing follows the last token
        logits, loss = self.words(tokens, labels, full_logits)
        return HeadOutput(loss, logits, out.hidden_states, out.attentions)

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        max_new_tokens: int,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Continue texts without padding: (B, T) -> (B, T + max_new_tokens).

        Args:
            temperature: 0 takes the best word each time (greedy); above 0, words are drawn by their probability, the
                more freely the higher it is.
            generator: where the draws come from, for the same text twice.

        Raises:
            ValueError: a negative temperature, or more tokens than the model has positions.
        """
        if temperature < 0:
            raise ValueError(f"temperature is {temperature}; 0 takes the best word, above 0 words are drawn.")
        length, longest = input_ids.shape[-1] + max_new_tokens, self.config.max_position_embeddings
        if max_new_tokens < 0 or length > longest:
            raise ValueError(
                f"max_new_tokens is {max_new_tokens} after {input_ids.shape[-1]} tokens; this model has positions for "
                f"{longest}, so 0 to {max(0, longest - input_ids.shape[-1])} fit."
            )
        for _ in range(max_new_tokens):
            scores = self(input_ids).logits[:, -1]  # (B, V)
            if temperature == 0:
                following = scores.argmax(dim=-1, keepdim=True)
            else:
                following = torch.multinomial((scores / temperature).softmax(dim=-1), 1, generator=generator)
            input_ids = torch.cat([input_ids, following], dim=1)
        return input_ids


class BertForNextSentencePrediction(Head):
    """Does the second text continue the first? From the pooler."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.cls = PreTrainingHeads(config, words=False, sentences=True)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **encoder: Any,
    ) -> HeadOutput:
        """labels (B,): 0 when the second text continues the first, 1 when it is a random one."""
        out = self.bert(input_ids, attention_mask, token_type_ids, first_token_only=True, **encoder)
        logits = self.cls.seq_relationship(out.pooler_output)
        return _with_loss(logits, labels, (len(logits),), out)


class BertForSequenceClassification(ClassifierHead):
    """One answer for a text or a pair: a number, one class of K, or any of K classes."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, config.num_labels)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **encoder: Any,
    ) -> HeadOutput:
        """The loss follows config.problem_type; where that is None, it is chosen by K and the labels, as in transformers.

        (There the first batch's choice is kept in the configuration; here each batch chooses anew.)

        K = 1: regression, labels (B,), mean squared error. Whole numbers: one class, labels (B,), cross entropy.
        Other numbers: any of K classes, labels (B, K) of 0 and 1, binary cross entropy.
        """
        out = self.bert(input_ids, attention_mask, token_type_ids, first_token_only=True, **encoder)
        logits = self.classifier(self.dropout(out.pooler_output))  # (B, K)
        loss = None if labels is None else self._loss(logits, labels)
        return HeadOutput(loss, logits, out.hidden_states, out.attentions)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        batch, classes = logits.shape
        kind = self.config.problem_type or _problem_type(classes, labels)
        if kind == "regression":
            _check_shape("labels", labels, (batch,) if classes == 1 else (batch, classes))
            return F.mse_loss(logits, _numbers(labels, logits).view_as(logits))
        if kind == "single_label_classification":
            if labels.shape == logits.shape and classes > 1:
                raise ValueError(
                    f"labels has shape {tuple(labels.shape)}, a number for each class; one class a text has shape "
                    f"{(batch,)}. If any of the classes may hold, give labels.float() and leave problem_type None, or "
                    "set problem_type='multi_label_classification'."
                )
            check_labels("labels", labels, (batch,), classes)
            return cross_entropy(logits, labels)
        if kind == "multi_label_classification":
            _check_shape(
                "labels", labels, (batch, classes), "; for one class a text, give whole numbers: labels.long()"
            )
            return F.binary_cross_entropy_with_logits(logits, _numbers(labels, logits))
        raise ValueError(
            f"problem_type is {kind!r}; it may be regression, single_label_classification, multi_label_classification, "
            "or None to choose by the labels."
        )


def _problem_type(classes: int, labels: Tensor) -> str:
    """What transformers would choose."""
    if classes == 1:
        return "regression"
    whole = labels.dtype in (torch.int64, torch.int32)
    return "single_label_classification" if whole else "multi_label_classification"


def _numbers(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels as numbers of the scores' precision or better."""
    return labels.to(torch.promote_types(labels.dtype, logits.dtype))


class BertForMultipleChoice(ClassifierHead):
    """Which of M texts? Each goes through BERT alone and gets one score; the softmax is over the M scores."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, 1)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **encoder: Any,
    ) -> HeadOutput:
        """input_ids (B, M, T), the other inputs too; labels (B,): the number of the right choice. Logits (B, M)."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        given |= {name: encoder.pop(name, None) for name in ("position_ids", "inputs_embeds", "task_type_ids")}
        given = {name: value for name, value in given.items() if value is not None}
        first = input_ids if input_ids is not None else given.get("inputs_embeds")
        if first is None:
            raise ValueError("Give either input_ids (B, M, T) or inputs_embeds (B, M, T, H).")
        for name, value in given.items():
            if value.dim() < 3 or value.shape[:2] != first.shape[:2]:
                raise ValueError(f"{name} has shape {tuple(value.shape)}; multiple choice takes texts, choices, tokens: (B, M, T).")  # fmt: skip
        texts = {name: value.flatten(0, 1) for name, value in given.items()}  # (B * M, T)
        out = self.bert(**texts, first_token_only=True, **encoder)
        logits = self.classifier(self.dropout(out.pooler_output)).view(first.shape[:2])  # (B, M)
        return _with_loss(logits, labels, (len(logits),), out)


class BertForTokenClassification(ClassifierHead):
    """A class for each token. Padding and the later pieces of a word are labelled -100."""

    pooled = False

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, config.num_labels)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **encoder: Any,
    ) -> HeadOutput:
        """labels (B, T): a class, or -100 where none counts. Logits (B, T, K)."""
        out = self.bert(input_ids, attention_mask, token_type_ids, **encoder)
        logits = self.classifier(self.dropout(out.last_hidden_state))
        return _with_loss(logits, labels, tuple(logits.shape[:2]), out)


class BertForQuestionAnswering(Head):
    """Where in the text does the answer start and end? Two scores a token, no pooler, no dropout."""

    pooled = False

    def __init__(self, config: BertConfig) -> None:
        if config.num_labels != 2:
            raise ValueError(
                f"num_labels is {config.num_labels}; here it must be 2: a score for start and one for end."
            )
        super().__init__(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        initialise(self.qa_outputs, config.initializer_range)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **encoder: Any,
    ) -> QuestionAnsweringOutput:
        """start_positions, end_positions (B,): token numbers. Those of T and above are ignored; below 0 count as 0.

        As in transformers, the loss is None unless both are given.
        """
        out = self.bert(input_ids, attention_mask, token_type_ids, **encoder)
        start, end = self.qa_outputs(out.last_hidden_state).unbind(dim=-1)  # (B, T) each
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = (
                _position_loss("start_positions", start, start_positions)
                + _position_loss("end_positions", end, end_positions)
            ) / 2
        return QuestionAnsweringOutput(loss, start, end, out.hidden_states, out.attentions)


def _position_loss(name: str, scores: Tensor, positions: Tensor) -> Tensor:
    """Cross entropy over the tokens of a text: (B, T) and (B,). Position T stands for all beyond, and is ignored."""
    batch, tokens = scores.shape
    _check_shape(name, positions, (batch,))
    _check_whole(name, positions)
    return F.cross_entropy(scores, positions.view(batch).long().clamp(0, tokens), ignore_index=tokens)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy over all labels but -100: (..., K) and (...)."""
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten().long(), ignore_index=IGNORED)


def check_labels(name: str, labels: Tensor, shape: tuple[int, ...], classes: int) -> None:
    """Raise ValueError or TypeError, a sentence, for labels of another shape, kind or range."""
    _check_shape(name, labels, shape)
    _check_whole(name, labels)
    if labels.numel() == 0 or recording() or not has_numbers(labels):
        return
    wrong = labels[(labels != IGNORED) & ((labels < 0) | (labels >= classes))]
    if wrong.numel():
        raise ValueError(
            f"{name} holds {int(wrong[0])}; with {classes} classes, 0 to {classes - 1} fit, and -100 for none."
        )


def _check_shape(name: str, labels: Tensor, shape: tuple[int, ...], hint: str = "") -> None:
    """(B, 1) will do for (B,): several data loaders make it so."""
    if tuple(labels.shape) not in ((shape, (*shape, 1)) if len(shape) == 1 else (shape,)):
        raise ValueError(f"{name} has shape {tuple(labels.shape)}; {shape} fits the scores of this batch{hint}.")


def _check_whole(name: str, labels: Tensor) -> None:
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise TypeError(f"{name} holds {labels.dtype}; class numbers are whole numbers: {name}.long() makes them so.")


def _resized(old: nn.Parameter, rows: int, spread: float) -> nn.Parameter:
    """The same parameter with another number of rows; new ones are drawn from N(0, spread)."""
    new = old.detach().new_empty(rows, *old.shape[1:]).normal_(std=spread)
    new[: len(old)] = old.detach()[:rows]
    return nn.Parameter(new, requires_grad=old.requires_grad)


def _with_loss(logits: Tensor, labels: Tensor | None, shape: tuple[int, ...], out: BertOutput) -> HeadOutput:
    loss = None
    if labels is not None:
        check_labels("labels", labels, shape, logits.shape[-1])
        loss = cross_entropy(logits, labels)
    return HeadOutput(loss, logits, out.hidden_states, out.attentions)
