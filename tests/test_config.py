import pytest
import torch
from transformers import BertConfig, BertModel

from course_lib.config import FIELDS, RELEASED, Released, count_parameters


def real_size(released: Released, pooler: bool = True) -> int:
    """Built by transformers on the meta device: shapes without numbers."""
    names = (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "max_position_embeddings", "type_vocab_size",
    )  # fmt: skip
    config = BertConfig(**{name: getattr(released, name) for name in names})
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=pooler)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("released", RELEASED, ids=lambda r: r.name)
def test_the_formula_counts_what_transformers_builds(released: Released) -> None:
    assert sum(count_parameters(released).values()) == real_size(released)


def test_a_model_without_pooler_is_counted_without_it() -> None:
    assert sum(count_parameters(RELEASED[0], pooler=False).values()) == real_size(RELEASED[0], pooler=False)


def test_sizes_that_share_no_factor_are_counted_too() -> None:
    odd = Released("odd", "-", "-", "-", 101, 6, 3, 2, 7, 11, 3)
    assert sum(count_parameters(odd).values()) == real_size(odd)


def test_the_explained_fields_are_those_of_transformers_with_their_defaults_for_bert_base() -> None:
    config = BertConfig()
    assert all(hasattr(config, field) for field in FIELDS)
    base = next(r for r in RELEASED if r.name == "bert-base-uncased")
    assert (config.vocab_size, config.hidden_size, config.num_hidden_layers) == (30522, 768, 12)
    assert sum(count_parameters(config).values()) == sum(count_parameters(base).values())
