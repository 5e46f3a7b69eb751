"""Fifteen text classifiers under one call. Every model answers in the same way, and is right about padding.

model = build("TextCNN", num_classes=10, vocab_size=len(vocabulary))
model = build("bert_CNN", num_classes=10, encoder="mini_bert_zh")
model(input_ids, attention_mask, labels).logits          # (B, K)

classifier.py        what all share: a source of vectors, features, a last layer
words.py             the source of seven: word vectors
encoders.py          the source of eight: what a BERT says
convolution.py       a linear layer over windows, and which windows count
lstm.py              an LSTM from both sides that does not read padding
text_cnn.py ...      one architecture a file: paper, equation, defaults
saving.py            as two files on disk
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from torch import nn

from course_lib.bert import BertModel
from course_lib.zoo.bert_layer_mix import LayersOfFirstToken
from course_lib.zoo.bert_layers_cnn import LayersCNN
from course_lib.zoo.classifier import TextClassifier
from course_lib.zoo.dpcnn import DPCNN
from course_lib.zoo.encoders import AllLayers, AsItIs, LastLayer, PooledText
from course_lib.zoo.fast_text import FastText
from course_lib.zoo.saving import CARD, load, load_tokenizer
from course_lib.zoo.text_cnn import TextCNN
from course_lib.zoo.text_rcnn import TextRCNN
from course_lib.zoo.text_rnn import TextRNN
from course_lib.zoo.text_rnn_att import TextRNNAttention
from course_lib.zoo.transformer import Transformer
from course_lib.zoo.words import WordVectors

ERNIE = "nghuyong/ernie-3.0-base-zh"


@dataclass(frozen=True)
class Entry:
    """One name of the table."""

    features: Callable[..., nn.Module]
    source: type[LastLayer] | None = None  # what is read of a BERT; None: word vectors
    paper: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)  # where they differ from those in the signatures
    recipe: Mapping[str, Any] = field(default_factory=dict)  # how it trains well, as fields of a training Recipe


# Over word vectors everything is new, so the rate is high; 5 epochs suit a hundred thousand texts, and `steps_at_least`
# gives a small set more of them.
_WORDS = {"learning_rate": 1e-3, "epochs": 5, "schedule": "linear", "warmup": 0.05, "clip": 1.0}
_OF_TABLE = {"embedding_dropout": 0.2}
# A pretrained encoder below learns slowly, and what is new above it quickly.
_BERT = {
    "learning_rate": 5e-5,
    "head_learning_rate": 1e-3,
    "epochs": 3,
    "schedule": "linear",
    "warmup": 0.1,
    "clip": 1.0,
}
_FEW = {"dropout": 0.1}

MODELS: dict[str, Entry] = {
    "TextCNN": Entry(TextCNN, None, "Kim 2014", _OF_TABLE, _WORDS),
    "TextRNN": Entry(TextRNN, None, "Liu et al. 2016", _OF_TABLE, _WORDS),
    "TextRNN_Att": Entry(TextRNNAttention, None, "Zhou et al. 2016", _OF_TABLE, _WORDS),
    "TextRCNN": Entry(TextRCNN, None, "Lai et al. 2015", _OF_TABLE, _WORDS),
    "FastText": Entry(FastText, None, "Joulin et al. 2017", {**_OF_TABLE, "embedding": 128}, _WORDS),
    "DPCNN": Entry(DPCNN, None, "Johnson and Zhang 2017", _OF_TABLE, _WORDS),
    "Transformer": Entry(Transformer, None, "Vaswani et al. 2017", _OF_TABLE, _WORDS),
    "bert": Entry(AsItIs, PooledText, "Devlin et al. 2019", _FEW, _BERT),
    "ERNIE": Entry(AsItIs, PooledText, "Sun et al. 2019", _FEW, _BERT),
    "bert_CNN": Entry(TextCNN, LastLayer, "Kim 2014", _FEW, _BERT),
    "bert_RNN": Entry(TextRNN, LastLayer, "Liu et al. 2016", {**_FEW, "layers": 1}, _BERT),
    "bert_RCNN": Entry(TextRCNN, LastLayer, "Lai et al. 2015", _FEW, _BERT),
    "bert_DPCNN": Entry(DPCNN, LastLayer, "Johnson and Zhang 2017", _FEW, _BERT),
    "bert_layers_CNN": Entry(LayersCNN, AllLayers, "a forum question", _FEW, _BERT),
    "bert_layer_mix": Entry(LayersOfFirstToken, AllLayers, "Peters et al. 2018", {"dropout": 0.5, "samples": 5}, _BERT),
}
NAMES = tuple(MODELS)
_OF_WORDS = {"embedding": "int", "embedding_dropout": "float", "vectors": "Tensor", "frozen": "bool"}
_OF_ALL = {"dropout": "float", "samples": "int"}

__all__ = [
    "CARD",
    "ERNIE",
    "MODELS",
    "NAMES",
    "Entry",
    "TextClassifier",
    "build",
    "check",
    "load",
    "load_tokenizer",
    "nearest",
    "reads_bert",
]


def reads_bert(name: str) -> bool:
    """Does the model stand on a BERT (True), or on word vectors of its own?"""
    return _entry(name).source is not None


def build(
    name: str,
    num_classes: int,
    vocab_size: int | None = None,
    encoder: str | Path | BertModel | None = None,
    **options: Any,
) -> TextClassifier:
    """A new model of the table.

    Args:
        name: one of `NAMES`.
        num_classes: K.
        vocab_size: V, for models over word vectors.
        encoder: for models over BERT: "default", a name on the hub, a folder, or a BertModel.
        options: dropout and samples (`TextClassifier`); over word vectors embedding (E), embedding_dropout, vectors and
            frozen (`WordVectors`); and what the architecture takes, as in build("TextCNN", 10, 5000, filters=100).

    Raises:
        ValueError: an unknown name, or what the model needs is missing, or does not fit.
        TypeError: an option that it does not have; those that it has are named.
        ModelFilesError: there is no such encoder.
    """
    entry = _entry(name)
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}; a classifier needs at least 2.")
    chosen = {**entry.defaults, **options}
    _check_options(name, entry, chosen)
    shared = {key: chosen.pop(key) for key in _OF_ALL if key in chosen}
    if entry.source is None:
        if encoder is not None:
            raise ValueError(f"{name} has word vectors of its own and takes no encoder: give vocab_size alone.")
        if vocab_size is None or vocab_size < 2:
            raise ValueError(f"{name} needs vocab_size, the number of its tokens; it is {vocab_size}.")
        table = {{"embedding": "size", "embedding_dropout": "dropout"}.get(key, key): chosen.pop(key) for key in _OF_WORDS if key in chosen}  # fmt: skip
        words = WordVectors(vocab_size, **table)
        if options.get("embedding", words.size) != words.size:
            raise ValueError(
                f"embedding is {options['embedding']}, and the vectors have {words.size} numbers each: leave embedding out, or "
                "give other vectors."
            )
        of_words = {"embedding": words.size, "frozen": not words.table.weight.requires_grad}
        kept = {**chosen, **shared, **of_words, "embedding_dropout": words.dropout.p}
        if entry.features is FastText:
            source, features = _Ids(), FastText(words, **chosen)
        else:
            source, features = words, entry.features(words.size, **chosen)
    else:
        if vocab_size is not None and not isinstance(encoder, BertModel):
            raise ValueError(
                f"{name} takes its vocabulary from its encoder: leave vocab_size out, or give a BertModel."
            )
        bert = _encoder(name, entry.source.pooled, encoder)
        source = entry.source(bert)
        layers = {"layers": bert.config.num_hidden_layers + 1} if entry.source is AllLayers else {}
        features = entry.features(source.size, **layers, **chosen)
        kept = {**chosen, **shared}
    card = {"name": name, "num_classes": num_classes, "options": kept}
    if entry.source is None:
        card["vocab_size"] = vocab_size
    return TextClassifier(source, features, num_classes, **shared, card=card)


class _Ids(nn.Module):
    """For FastText, whose features need to know which tokens are neighbours."""

    def forward(self, ids: Any, mask: Any, token_type_ids: Any = None) -> Any:
        return ids


def nearest(name: str, cutoff: float = 0.5) -> str | None:
    """The model whose name is nearest to another one, upper and lower case alike; None where none is near (0 to 1)."""
    by_lower_case = {known.lower(): known for known in NAMES}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=cutoff)
    return by_lower_case[near[0]] if near else None


def check(name: str, options: Mapping[str, Any]) -> None:
    """Is there such a model, and does it take these options? What `build` does first, without building anything.

    Raises:
        ValueError: an unknown name, or a value that makes no sense.
        TypeError: an option that the model does not have.
    """
    _check_options(name, _entry(name), options)


def _entry(name: str) -> Entry:
    if name not in MODELS:
        near = nearest(str(name))
        hint = f"Did you mean {near}? " if near else ""
        raise ValueError(f"There is no model {name!r} in the zoo. {hint}It has {', '.join(NAMES)}.")
    return MODELS[name]


def _check_options(name: str, entry: Entry, options: Mapping[str, Any]) -> None:
    signature = inspect.signature(entry.features).parameters
    taken = {key: str(p.annotation) for key, p in signature.items() if key not in ("width", "words")}
    if entry.source is AllLayers:
        del taken["layers"]
    known = {**taken, **_OF_ALL, **(_OF_WORDS if entry.source is None else {})}
    for option, value in options.items():
        if option not in known:
            raise TypeError(f"{name} has no option {option}; it has {', '.join(known)}.")
        fits, needed = _FITS.get(known[option], (None, ""))
        if fits is not None and not fits(value):
            raise ValueError(f"{option} is {value!r}; {needed} is needed.")


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1


_FITS: dict[str, tuple[Callable[[Any], bool], str]] = {  # by the type in the signature
    "int": (_whole, "a whole number of at least 1"),
    "float": (
        lambda value: isinstance(value, Real) and 0 <= value < 1,
        "a number from 0 and below 1",
    ),  # all are dropouts
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "Sequence[int]": (
        lambda value: isinstance(value, Sequence) and len(value) > 0 and all(map(_whole, value)),
        "a list of whole numbers of at least 1",
    ),
}


def _encoder(name: str, pooler: bool, encoder: str | Path | BertModel | None) -> BertModel:
    if encoder is None:
        encoder = ERNIE if name == "ERNIE" else "default"
    if isinstance(encoder, BertModel):
        if pooler and encoder.pooler is None:
            raise ValueError(
                f"{name} reads BERT's pooler, and this encoder has none: build it with add_pooling_layer=True."
            )
        return encoder
    if isinstance(encoder, str | Path):
        return BertModel.from_pretrained(encoder, add_pooling_layer=pooler)
    raise ValueError(f"encoder is a {type(encoder).__name__}; a name, a folder or a BertModel is needed.")
