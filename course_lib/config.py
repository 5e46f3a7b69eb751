"""The numbers that define a BERT, and the released models that they belong to.

Letters: V vocabulary, T positions, S token types, H hidden size, F feed-forward size, L layers. Names of fields are
those of transformers' BertConfig, so that any object with these attributes will do here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
