"""The numbers that define a BERT, and the released models that they belong to.

Letters: V vocabulary, T positions, S token types, H hidden size, F feed-forward size, L layers. Names of fields are
those of transformers' BertConfig, so that any object with these attributes will do here.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.errors import ModelFilesError

# Fields in the order in which the forward pass meets them; each is explained once, here.
FIELDS = {
    "vocab_size": "V: rows of the word table, one a token of the vocabulary",
    "type_vocab_size": "rows of the token type table: 2, for sentence A and sentence B",
    "max_position_embeddings": "rows of the position table: the longest input, in tokens",
    "hidden_size": "H: length of the vector that stands for a token, in every layer",
    "num_hidden_layers": "L: how many layers are stacked",
    "num_attention_heads": "N: attention heads a layer; each works on D = H / N of the H numbers",
    "intermediate_size": "F: width of the feed-forward part between two linear layers; usually 4 H",
    "hidden_act": "the activation between those two layers: gelu, the exact form with erf",
    "hidden_dropout_prob": "share of numbers set to 0 after embeddings, attention and feed-forward, in training only",
    "attention_probs_dropout_prob": "share of attention weights set to 0 after the softmax, in training only",
    "initializer_range": "standard deviation of the normal distribution from which new weights are drawn",
    "layer_norm_eps": "added under the root of LayerNorm, so that nothing is divided by 0",
    "pad_token_id": "id of the padding token",
}


@dataclass
class BertConfig:
    """The sizes and switches of a BERT; the defaults are those of bert-base-uncased. `FIELDS` explains each size.

    Raises:
        ValueError: sizes that do not fit together; the message names the field, what came and what fits.
    """

    vocab_size: int = 30522
    type_vocab_size: int = 2
    max_position_embeddings: int = 512
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    model_type: str = "bert"  # or "ernie": the same model, plus an optional table of task types
    is_decoder: bool = False  # True: a token sees only itself and what stands before it
    use_task_id: bool = False  # ERNIE alone: add a fourth table to the embeddings
    task_type_vocab_size: int = 3
    classifier_dropout: float | None = None  # None: hidden_dropout_prob
    num_labels: int = 2
    problem_type: str | None = None  # regression, single_label_classification, multi_label_classification
    output_hidden_states: bool = False
    output_attentions: bool = False
    other: dict[str, Any] = dataclasses.field(default_factory=dict)  # fields that we do not use, kept for saving

    def __post_init__(self) -> None:
        sizes = (
            "vocab_size", "type_vocab_size", "max_position_embeddings", "hidden_size", "num_hidden_layers",
            "num_attention_heads", "intermediate_size",
        )  # fmt: skip
        for name in (*sizes, "task_type_vocab_size", "num_labels"):
            value = getattr(self, name)
            if not _is_whole(value) or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1.")
        if self.hidden_size % self.num_attention_heads:
            near = [n for n in range(1, self.hidden_size + 1) if self.hidden_size % n == 0]
            fits = min(near, key=lambda n: abs(n - self.num_attention_heads))
            raise ValueError(
                f"hidden_size is {self.hidden_size} and num_attention_heads {self.num_attention_heads}: the heads share "
                f"the hidden size equally, so it must be divisible by their number; {fits} heads would fit."
            )
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value < 1) and not (name == "classifier_dropout" and value is None):
                raise ValueError(f"{name} is {value!r}; it is a share of numbers to drop, from 0 up to below 1.")
        for name in ("initializer_range", "layer_norm_eps"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value!r}; it must be a number of at least 0.")
        pad = self.pad_token_id
        if pad is not None and not (_is_whole(pad) and 0 <= pad < self.vocab_size):
            raise ValueError(
                f"pad_token_id is {pad!r}; it must be an id of the vocabulary, 0 to {self.vocab_size - 1}."
            )
        if self.model_type not in ("bert", "ernie"):
            raise ValueError(f"model_type is {self.model_type!r}; models of type bert and ernie fit.")

    @property
    def head_size(self) -> int:
        """D = H / N."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_dict(cls, fields: dict[str, Any], **overrides: Any) -> BertConfig:
        """A configuration from the fields of a config.json; fields that we do not use are kept in `other`.

        Args:
            overrides: fields to replace; id2label (names of the labels) sets num_labels too.

        Raises:
            ValueError: values that do not fit.
            TypeError: an override that is no field.
        """
        fields = dict(fields)
        if fields.get("position_embedding_type") not in (None, "absolute"):
            raise ValueError(
                f"position_embedding_type is {fields['position_embedding_type']!r}; this BERT has absolute positions alone."
            )
        names = fields.get("id2label") or {}
        if "id2label" in overrides or overrides.get("num_labels", len(names)) != len(names):  # the file's do not count
            for name in ("num_labels", "id2label", "label2id"):
                fields.pop(name, None)
        if "id2label" in overrides:
            fields["id2label"] = overrides.pop("id2label")
            overrides.pop("label2id", None)  # the same, the other way round: to_dict writes it
        if "num_labels" not in fields and fields.get("id2label"):
            fields["num_labels"] = len(fields["id2label"])  # transformers saves the names instead of the number
        known = {field.name for field in dataclasses.fields(cls)} - {"other"}
        unknown = set(overrides) - known
        if unknown:
            raise TypeError(f"A BertConfig has no field {sorted(unknown)[0]!r}; it has {', '.join(sorted(known))}.")
        used = {name: value for name, value in fields.items() if name in known} | overrides
        return cls(**used, other={name: value for name, value in fields.items() if name not in known})

    @classmethod
    def from_file(cls, path: str | Path, **overrides: Any) -> BertConfig:
        """Read a config.json.

        Raises:
            ModelFilesError: no such file, or not the JSON of a configuration.
            ValueError, TypeError: as from_dict.
        """
        path = Path(path)
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelFilesError(
                f"The file '{path}' cannot be read ({error.strerror}); is this the right folder?"
            ) from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ModelFilesError(f"The file '{path}' is not JSON ({error}); download it again.") from error
        if not isinstance(fields, dict):
            raise ModelFilesError(
                f"The file '{path}' holds a {type(fields).__name__}; a configuration is a JSON object, {{...}}."
            )
        return cls.from_dict(fields, **overrides)

    def to_dict(self) -> dict[str, Any]:
        """The fields as transformers writes them into config.json."""
        fields = {**self.other, **{k: v for k, v in dataclasses.asdict(self).items() if k != "other"}}
        # transformers derives the number of labels from their names, and ignores the number itself.
        labels = fields.pop("num_labels")
        names = fields.get("id2label") or {}
        if len(names) != labels:  # none, or num_labels was set since
            names = {str(i): f"LABEL_{i}" for i in range(labels)}
        return {**fields, "id2label": names, "label2id": {name: int(i) for i, name in names.items()}}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Released:
    """A released checkpoint: what it is for, and the sizes from which its parameters are counted."""

    name: str  # on the hub
    language: str
    case: str  # "kept", "lowered", or "-" where the script has none
    licence: str
    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    model_type: str = "bert"
    documented: str = ""  # size as its first page gave it, where that page rounds or errs


# The seven checkpoints of the first releases (Google, 2018 and 2019), then models of the same form that came later.
RELEASED = (
    Released("bert-base-uncased", "English", "lowered", "Apache-2.0", 30522, documented="110M"),
    Released("bert-base-cased", "English", "kept", "Apache-2.0", 28996, documented="110M"),
    Released("bert-large-uncased", "English", "lowered", "Apache-2.0", 30522, 1024, 24, 16, 4096, documented="340M"),
    Released("bert-large-cased", "English", "kept", "Apache-2.0", 28996, 1024, 24, 16, 4096, documented="340M"),
    Released("bert-base-multilingual-cased", "104 languages", "kept", "Apache-2.0", 119547, documented="110M"),
    Released("bert-base-multilingual-uncased", "102 languages", "lowered", "Apache-2.0", 105879, documented="110M"),
    Released("bert-base-chinese", "Chinese", "-", "Apache-2.0", 21128, documented="110M"),
    Released("sentence-transformers/all-MiniLM-L6-v2", "English", "lowered", "Apache-2.0", 30522, 384, 6, 12, 1536),
    Released("google/bert_uncased_L-4_H-256_A-4", "English", "lowered", "Apache-2.0", 30522, 256, 4, 4, 1024),
    Released("hfl/chinese-roberta-wwm-ext", "Chinese", "-", "Apache-2.0", 21128),
    Released("hfl/chinese-macbert-base", "Chinese", "-", "Apache-2.0", 21128),
)


def count_parameters(config: Any, pooler: bool = True) -> dict[str, int]:
    """How many parameters a BERT of this configuration has, part by part.

    Args:
        config: any object with the fields of BertConfig.
        pooler: count the pooler too; models without it exist.

    Returns:
        Part -> parameters: word, position and token type embeddings, their LayerNorm, one entry for all attention
        blocks, one for all feed-forward blocks, and the pooler. The sum of the values is the size of the model.
    """
    h, f, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    norm = 2 * h  # LayerNorm: a scale and a shift for each of the H numbers
    return {
        "word embeddings": config.vocab_size * h,
        "position embeddings": config.max_position_embeddings * h,
        "token type embeddings": config.type_vocab_size * h,
        "LayerNorm of the embeddings": norm,
        "attention, all layers": layers
        * (4 * (h * h + h) + norm),  # query, key, value, output: a matrix and a bias each
        "feed-forward, all layers": layers * ((h * f + f) + (f * h + h) + norm),
        "pooler": (h * h + h) if pooler else 0,
    }
