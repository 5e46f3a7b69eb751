import dataclasses
import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import BertModel

from course_lib.config import FIELDS, RELEASED, BertConfig, Released, count_parameters
from course_lib.errors import ModelFilesError


def real_size(released: Released, pooler: bool = True) -> int:
    """Built by transformers on the meta device: shapes without numbers."""
    names = (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "max_position_embeddings", "type_vocab_size",
    )  # fmt: skip
    config = transformers.BertConfig(**{name: getattr(released, name) for name in names})
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
    config = transformers.BertConfig()
    assert all(hasattr(config, field) for field in FIELDS)
    base = next(r for r in RELEASED if r.name == "bert-base-uncased")
    assert (config.vocab_size, config.hidden_size, config.num_hidden_layers) == (30522, 768, 12)
    assert sum(count_parameters(config).values()) == sum(count_parameters(base).values())


SHARED = sorted({field.name for field in dataclasses.fields(BertConfig)} & set(transformers.BertConfig().to_dict()))


def test_our_defaults_are_those_of_transformers_for_bert_and_for_ernie() -> None:
    assert set(FIELDS) <= set(SHARED)
    for theirs in (transformers.BertConfig(), transformers.ErnieConfig()):
        ours = BertConfig(model_type=theirs.model_type)
        for name in {*SHARED, "num_labels", "problem_type"}:
            assert getattr(ours, name) == getattr(theirs, name), name
    assert BertConfig(model_type="ernie").task_type_vocab_size == transformers.ErnieConfig().task_type_vocab_size


@pytest.mark.parametrize("family", ["Bert", "Ernie"])
def test_a_configuration_of_transformers_comes_back_as_it_went_in(family: str) -> None:
    theirs = getattr(transformers, f"{family}Config")(
        vocab_size=101, hidden_size=14, num_hidden_layers=3, num_attention_heads=7, intermediate_size=5,
        max_position_embeddings=11, type_vocab_size=5, hidden_act="relu", hidden_dropout_prob=0.2,
        attention_probs_dropout_prob=0, initializer_range=0.3, layer_norm_eps=1e-5, pad_token_id=2,
        classifier_dropout=0.4, is_decoder=True, problem_type="regression", num_labels=3, use_cache=False,
        id2label={0: "one", 1: "two", 2: "three"}, label2id={"one": 0, "two": 1, "three": 2}, sep_token_id=7,
    )  # fmt: skip
    fields = theirs.to_dict()
    ours = BertConfig.from_dict(fields)
    for name in SHARED:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert (ours.num_labels, ours.head_size, ours.other["sep_token_id"]) == (3, 2, 7)
    written = json.loads(json.dumps(ours.to_dict()))
    assert type(theirs).from_dict(written).to_dict() | fields == type(theirs).from_dict(written).to_dict()
    assert BertConfig.from_dict(written).to_dict() == written
    assert "num_labels" not in written and written["id2label"]["1"] == "two"


def test_ours_is_read_by_transformers_with_as_many_labels() -> None:
    written = json.loads(json.dumps(BertConfig(num_labels=4, hidden_dropout_prob=0.3).to_dict()))
    theirs = transformers.BertConfig.from_dict(written)
    assert (theirs.num_labels, theirs.hidden_dropout_prob, theirs.id2label[3]) == (4, 0.3, "LABEL_3")


def test_the_number_of_labels_comes_from_their_names_unless_another_is_asked_for() -> None:
    file = {"id2label": {"0": "no", "1": "yes", "2": "maybe"}, "label2id": {"no": 0, "yes": 1, "maybe": 2}}
    assert BertConfig.from_dict(file).num_labels == 3
    assert BertConfig.from_dict({"id2label": None}).num_labels == 2
    assert BertConfig.from_dict(file, num_labels=3).to_dict()["id2label"] == file["id2label"]
    other = BertConfig.from_dict(file, num_labels=2).to_dict()
    assert (other["id2label"], other["label2id"]) == ({"0": "LABEL_0", "1": "LABEL_1"}, {"LABEL_0": 0, "LABEL_1": 1})
    named = BertConfig.from_dict(file, id2label={0: "cat", 1: "dog"})
    assert named.num_labels == 2 and named.to_dict()["label2id"] == {"cat": 0, "dog": 1}
    later = BertConfig.from_dict(file)
    later.num_labels = 5
    assert len(later.to_dict()["id2label"]) == 5
    assert file["id2label"] == {"0": "no", "1": "yes", "2": "maybe"}  # what was given is left alone


def test_fields_that_we_do_not_use_are_kept_and_overrides_win() -> None:
    config = BertConfig.from_dict({"hidden_size": 14, "num_attention_heads": 7, "gradient": 1}, hidden_size=21)
    assert (config.hidden_size, config.other) == (21, {"gradient": 1})
    assert config.to_dict()["gradient"] == 1


def test_an_override_that_is_no_field_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^A BertConfig has no field 'hiden_size'; it has .*hidden_size.*\.$"):
        BertConfig.from_dict({}, hiden_size=14)
    with pytest.raises(TypeError, match="hiden_size"):
        BertConfig(hiden_size=14)


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"hidden_size": 14, "num_attention_heads": 5}, "num_attention_heads 5: .* divisible .* 7 heads would fit"),
        ({"hidden_size": 0}, "hidden_size is 0; it must be a whole number of at least 1"),
        ({"vocab_size": "30522"}, "vocab_size is '30522'"),
        ({"num_hidden_layers": 2.0}, r"num_hidden_layers is 2\.0"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"num_labels": 0}, "num_labels is 0"),
        ({"hidden_dropout_prob": 1.0}, r"hidden_dropout_prob is 1\.0; .* from 0 up to below 1"),
        ({"hidden_dropout_prob": -0.1}, r"hidden_dropout_prob is -0\.1"),
        ({"hidden_dropout_prob": None}, "hidden_dropout_prob is None"),
        ({"attention_probs_dropout_prob": "0.1"}, "attention_probs_dropout_prob is '0.1'"),
        ({"attention_probs_dropout_prob": float("nan")}, "attention_probs_dropout_prob is nan"),
        ({"classifier_dropout": 10}, "classifier_dropout is 10"),
        ({"layer_norm_eps": -1e-12}, "layer_norm_eps is -1e-12; it must be a number of at least 0"),
        ({"initializer_range": "small"}, "initializer_range is 'small'"),
        ({"pad_token_id": 30522}, "pad_token_id is 30522; .* 0 to 30521"),
        ({"pad_token_id": -1}, "pad_token_id is -1"),
        ({"model_type": "roberta"}, "model_type is 'roberta'; .* bert and ernie"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
    ],
)
def test_values_that_do_not_fit_get_one_sentence(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        BertConfig.from_dict(fields)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_file_is_read_with_its_overrides(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"hidden_size": 14, "num_attention_heads": 7, "note": "é"}), encoding="utf-8")
    for given in (path, str(path)):
        config = BertConfig.from_file(given, num_labels=3)
        assert (config.hidden_size, config.num_labels, config.other["note"]) == (14, 3, "é")


@pytest.mark.parametrize(
    "content, words",
    [
        (b'{"hidden_size": 14,', "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[1, 2]", "holds a list"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFilesError, match=words) as caught:
        BertConfig.from_file(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
