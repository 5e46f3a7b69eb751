"""Checkpoints, both ways: what transformers saves loads here, and what is saved here loads in transformers."""

import dataclasses
import json
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
import transformers

from course_lib import checkpoint, heads
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.errors import ModelFilesError

SIZES = {
    "vocab_size": 37, "hidden_size": 22, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 31,
    "max_position_embeddings": 17, "type_vocab_size": 3, "initializer_range": 0.3,
}  # fmt: skip
HEADS = [
    "BertForPreTraining", "BertForMaskedLM", "BertLMHeadModel", "BertForNextSentencePrediction",
    "BertForSequenceClassification", "BertForMultipleChoice", "BertForTokenClassification", "BertForQuestionAnswering",
]  # fmt: skip
ERNIE = {"BertLMHeadModel": "ErnieForCausalLM"}
AUTO = {
    "BertModel": "AutoModel",
    "BertForPreTraining": "AutoModelForPreTraining",
    "BertForMaskedLM": "AutoModelForMaskedLM",
    "BertForSequenceClassification": "AutoModelForSequenceClassification",
    "BertForQuestionAnswering": "AutoModelForQuestionAnswering",
}
NOTHING = {"missing_keys": set(), "unexpected_keys": set(), "mismatched_keys": set(), "error_msgs": []}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny tensors: a second thread would only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def quiet():
    transformers.utils.logging.disable_progress_bar()
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    yield
    transformers.utils.logging.set_verbosity(before)
    transformers.utils.logging.enable_progress_bar()


def class_of(name: str):
    return BertModel if name == "BertModel" else getattr(heads, name)


def reference_of(name: str, ernie: bool = False):
    return getattr(transformers, ERNIE.get(name, name.replace("Bert", "Ernie")) if ernie else name)


def config(**other) -> BertConfig:
    return BertConfig.from_dict(SIZES | other)


def drawn(model):
    """All parameters drawn, the biases too, so that a lost one shows."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def same(ours, theirs, ernie: bool = False) -> bool:
    shape = (2, 3, 7) if "MultipleChoice" in type(ours).__name__ else (2, 7)
    ids = torch.randint(1, 37, shape, generator=torch.Generator().manual_seed(1))
    given = {"input_ids": ids, "token_type_ids": ids % 3, "attention_mask": (torch.arange(7) < 6).expand(shape).long()}
    if ernie:
        given["task_type_ids"] = ids % 2
    one = ours(**given)
    if ernie and len(shape) == 3 and isinstance(theirs, transformers.PreTrainedModel):
        # transformers flattens the other inputs, and forgets this one
        given["task_type_ids"] = given["task_type_ids"].flatten(0, 1)
    two = theirs(**given)
    names = ("last_hidden_state", "pooler_output", "logits", "prediction_logits", "seq_relationship_logits")
    found = [name for name in (*names, "start_logits", "end_logits") if getattr(one, name, None) is not None]
    return bool(found) and all(
        torch.allclose(getattr(one, name), getattr(two, name), rtol=1e-5, atol=1e-5) for name in found
    )


def report(model_class, folder: Path):
    """transformers' model and what it says of the names, each as a set."""
    model, info = model_class.from_pretrained(folder, output_loading_info=True)
    return model.eval(), {key: set(value) if key != "error_msgs" else list(value) for key, value in info.items()}


def tied(model) -> bool:
    predictions = model.cls.predictions
    return (
        predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
        and predictions.decoder.bias is predictions.bias
    )


# ---- ours -> transformers, and ours -> ours


@pytest.mark.parametrize("ernie", [False, True], ids=["bert", "ernie"])
@pytest.mark.parametrize("name", ["BertModel", *HEADS])
def test_transformers_reads_what_is_saved_here(name: str, ernie: bool, tmp_path: Path) -> None:
    kind = {"model_type": "ernie", "use_task_id": True} if ernie else {}
    ours = drawn(class_of(name)(config(**kind)))
    assert ours.save_pretrained(tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"] == [
        reference_of(name, ernie).__name__
    ]
    classes = [reference_of(name, ernie)] + ([getattr(transformers, AUTO[name])] if name in AUTO else [])
    for model_class in classes:
        theirs, said = report(model_class, folder)
        assert {key: said[key] for key in NOTHING} == NOTHING
        assert type(theirs) is classes[0]
        assert same(ours, theirs, ernie)
    again = class_of(name).from_pretrained(folder)  # no warning either: pytest makes errors of them
    assert again.load_report == checkpoint.LoadReport((), ()) and again.load_report.sentences == []
    assert not again.training
    assert same(ours, again, ernie)
    assert not hasattr(again, "tied") or tied(again)


def test_the_precision_and_the_names_of_classes_are_saved(tmp_path: Path) -> None:
    names = {"id2label": {"0": "sports", "1": "news", "2": "other"}, "torch_dtype": "float16", "problem_type": None}
    ours = heads.BertForSequenceClassification(config(**names)).to(torch.bfloat16)
    ours.save_pretrained(tmp_path)
    theirs = transformers.BertForSequenceClassification.from_pretrained(tmp_path)
    assert theirs.dtype == torch.bfloat16
    assert theirs.config.id2label == {0: "sports", 1: "news", 2: "other"}
    assert theirs.config.label2id == {"sports": 0, "news": 1, "other": 2}
    again = heads.BertForSequenceClassification.from_pretrained(tmp_path)
    assert again.config.num_labels == 3
    assert again.classifier.weight.dtype == torch.float32  # computing is done in float32 unless asked otherwise
    assert torch.equal(again.classifier.weight, ours.classifier.weight.float())


def test_a_file_in_half_precision_is_saved_in_the_precision_of_the_model(tmp_path: Path) -> None:
    drawn(transformers.BertModel(transformers.BertConfig(**SIZES))).half().save_pretrained(tmp_path / "half")
    ours = BertModel.from_pretrained(tmp_path / "half")
    assert ours.pooler.dense.weight.dtype == torch.float32
    drawn(ours).save_pretrained(tmp_path / "full")
    theirs = transformers.BertModel.from_pretrained(tmp_path / "full")
    assert theirs.dtype == torch.float32
    assert same(ours, theirs)


def test_another_vocabulary_is_saved_and_loaded_with_its_size(tmp_path: Path) -> None:
    ours = drawn(heads.BertForMaskedLM(config()))
    ours.resize_token_embeddings(43)
    ours.save_pretrained(tmp_path)
    theirs, said = report(transformers.BertForMaskedLM, tmp_path)
    assert not said["missing_keys"] and theirs.config.vocab_size == 43
    again = heads.BertForMaskedLM.from_pretrained(tmp_path)
    assert tied(again) and same(again, theirs)


def test_untied_words_are_saved_and_loaded_apart(tmp_path: Path) -> None:
    ours = drawn(heads.BertForMaskedLM(config(tie_word_embeddings=False)))
    ours.save_pretrained(tmp_path)
    theirs, said = report(transformers.BertForMaskedLM, tmp_path)
    assert not said["missing_keys"] and not said["unexpected_keys"]
    assert same(ours, theirs)
    again = heads.BertForMaskedLM.from_pretrained(tmp_path)
    assert not tied(again) and same(again, theirs)
    with pytest.warns(UserWarning, match="the classifier is new"):
        heads.BertForTokenClassification.from_pretrained(tmp_path)


# ---- transformers -> ours


@pytest.mark.parametrize("ernie", [False, True], ids=["bert", "ernie"])
@pytest.mark.parametrize("name", ["BertModel", *HEADS])
def test_what_transformers_saves_is_read_here(name: str, ernie: bool, tmp_path: Path) -> None:
    settings = transformers.ErnieConfig(**SIZES, use_task_id=True) if ernie else transformers.BertConfig(**SIZES)
    theirs = drawn(reference_of(name, ernie)(settings))
    theirs.save_pretrained(tmp_path / "safe")
    ours = class_of(name).from_pretrained(tmp_path / "safe")
    assert ours.load_report == checkpoint.LoadReport((), ())
    assert same(ours, theirs, ernie)
    assert not hasattr(ours, "tied") or tied(ours)
    pickled = tmp_path / "pickled"
    theirs.config.save_pretrained(pickled)
    torch.save(theirs.state_dict(), pickled / "pytorch_model.bin")
    ours = class_of(name).from_pretrained(str(pickled))
    assert ours.load_report == checkpoint.LoadReport((), ())
    assert same(ours, theirs, ernie)


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretraining checkpoint of transformers."""
    folder = tmp_path_factory.mktemp("pretraining")
    drawn(transformers.BertForPreTraining(transformers.BertConfig(**SIZES))).save_pretrained(folder)
    return folder


def rewritten(folder: Path, to: Path, change) -> Path:
    """The same checkpoint with other weights: `change` takes a dictionary and gives one."""
    to.mkdir()
    (to / "config.json").write_bytes((folder / "config.json").read_bytes())
    weights = change(safetensors.torch.load_file(folder / "model.safetensors"))
    safetensors.torch.save_file({k: v.clone() for k, v in weights.items()}, to / "model.safetensors")
    return to


def renamed(*pairs: tuple[str, str]):
    def change(weights: dict) -> dict:
        out = {}
        for key, value in weights.items():
            for old, new in pairs:
                key = key.replace(old, new)
            out[key] = value
        return out

    return change


HABITS = {
    "gamma and beta": renamed(("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")),
    "prefix ernie": renamed(("bert.", "ernie.")),
    "no prefix": renamed(("bert.", "")),
    "DataParallel": lambda w: {f"module.{key}": value for key, value in w.items()},
    "old buffers": lambda w: w | {"bert.embeddings.position_ids": torch.arange(17)[None], "bert.embeddings.token_type_ids": torch.zeros(1, 17)},
    "both names of tied weights": lambda w: w
    | {"cls.predictions.decoder.weight": w["bert.embeddings.word_embeddings.weight"], "cls.predictions.decoder.bias": w["cls.predictions.bias"]},
    "the decoder's names alone": renamed(("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"), ("predictions.bias", "predictions.decoder.bias")),
}  # fmt: skip


@pytest.mark.parametrize("habit", HABITS)
def test_old_and_other_names_load(habit: str, pretraining: Path, tmp_path: Path) -> None:
    folder = rewritten(pretraining, tmp_path / "other", HABITS[habit])
    theirs = transformers.BertForPreTraining.from_pretrained(pretraining).eval()
    ours = heads.BertForPreTraining.from_pretrained(folder)
    assert ours.load_report == checkpoint.LoadReport((), ())
    assert tied(ours) and same(ours, theirs)
    if habit != "the decoder's names alone":
        assert same(BertModel.from_pretrained(folder), theirs.bert)


# ---- heads and encoders that do not match


def test_a_classifier_on_a_pretraining_checkpoint_is_said_to_be_new(pretraining: Path) -> None:
    with pytest.warns(UserWarning, match=r": the classifier is new: train it\.$") as said:
        model = heads.BertForSequenceClassification.from_pretrained(pretraining)
    assert len(said) == 1 and Path(said[0].filename) == Path(__file__)  # points at the caller's line
    assert set(model.load_report.missing) == {"classifier.weight", "classifier.bias"}
    assert {key.rpartition(".")[0].removeprefix("cls.") for key in model.load_report.unexpected} == {
        "predictions", "predictions.transform.dense", "predictions.transform.LayerNorm", "seq_relationship",
    }  # fmt: skip
    assert model.load_report.sentences == [
        "the classifier is new: train it",
        "the file's masked-word head is not used by this model",
        "the file's next-sentence head is not used by this model",
    ]
    theirs, info = report(transformers.BertForSequenceClassification, pretraining)
    assert set(info["missing_keys"]) == set(model.load_report.missing)
    assert set(info["unexpected_keys"]) == set(model.load_report.unexpected)
    assert torch.equal(model.bert.pooler.dense.weight, theirs.bert.pooler.dense.weight)


@pytest.mark.parametrize(
    ("name", "new", "unused"),
    [
        ("BertForMaskedLM", [], ["pooler", "next-sentence head"]),
        ("BertForNextSentencePrediction", [], ["masked-word head"]),
        ("BertForTokenClassification", ["the classifier is new"], ["pooler", "masked-word head", "next-sentence head"]),
        ("BertForQuestionAnswering", ["the answer head is new"], ["pooler", "masked-word head", "next-sentence head"]),
        ("BertModel", [], ["masked-word head", "next-sentence head"]),
    ],
)
def test_each_group_of_names_has_its_sentence(name: str, new: list, unused: list, pretraining: Path) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = class_of(name).from_pretrained(pretraining)
    assert len(said) == len(new)
    assert model.load_report.sentences == [f"{n}: train it" for n in new] + [
        f"the file's {n} is not used by this model" for n in unused
    ]


def test_an_encoder_without_a_pooler(pretraining: Path, tmp_path: Path) -> None:
    bare = rewritten(pretraining, tmp_path / "bare", lambda w: {k: v for k, v in w.items() if ".pooler." not in k})
    with pytest.warns(UserWarning, match="the pooler is new: its output is random until it is trained"):
        BertModel.from_pretrained(bare)
    model = BertModel.from_pretrained(bare, add_pooling_layer=False)
    assert model.pooler is None and model.load_report.missing == ()
    assert (
        BertModel.from_pretrained(pretraining, add_pooling_layer=False)
        .load_report.sentences[0]
        .startswith("the file's pooler")
    )


def test_an_incomplete_encoder_is_refused(pretraining: Path, tmp_path: Path) -> None:
    fewer = rewritten(pretraining, tmp_path / "fewer", lambda w: {k: v for k, v in w.items() if "layer.1." not in k})
    with pytest.raises(
        ModelFilesError, match=r"lacks 16 parameters of the encoder, bert\.encoder\.layer\.1\.\S+ first"
    ):
        heads.BertForMaskedLM.from_pretrained(fewer)
    with pytest.raises(ModelFilesError, match="lacks 16 parameters of the encoder"):
        BertModel.from_pretrained(fewer)


def test_more_encoder_than_the_configuration_says_is_refused_and_fewer_layers_may_be_asked_for(
    pretraining: Path, tmp_path: Path
) -> None:
    more = rewritten(
        pretraining, tmp_path / "more", lambda w: w | {k.replace("layer.1.", "layer.2."): v for k, v in w.items()}
    )
    with pytest.raises(ModelFilesError, match="has 16 parameters of an encoder for which the model has no place"):
        BertModel.from_pretrained(more)
    model = BertModel.from_pretrained(pretraining, num_hidden_layers=1)
    full = BertModel.from_pretrained(pretraining)
    ids = torch.ones(1, 5, dtype=torch.long)
    torch.testing.assert_close(
        model(ids).last_hidden_state, full(ids, output_hidden_states=True).hidden_states[1], rtol=1e-5, atol=1e-5
    )


def test_a_tied_configuration_with_two_different_tables_is_refused(pretraining: Path, tmp_path: Path) -> None:
    two = rewritten(pretraining, tmp_path / "two", lambda w: w | {"cls.predictions.decoder.weight": torch.ones(37, 22)})
    with pytest.raises(ModelFilesError, match=r"differ in .* \"tie_word_embeddings\": false"):
        heads.BertForMaskedLM.from_pretrained(two)
    assert same(BertModel.from_pretrained(two), BertModel.from_pretrained(pretraining))  # no matter without a decoder


MISFITS = [
    ("bert.embeddings.word_embeddings.weight", (41, 22), "another vocabulary"),
    ("cls.predictions.bias", (41,), "another vocabulary"),
    ("bert.embeddings.position_embeddings.weight", (19, 22), "another number of positions"),
    ("bert.encoder.layer.1.intermediate.dense.weight", (29, 22), "another size"),
]


@pytest.mark.parametrize(("key", "shape", "reason"), MISFITS)
def test_a_misfit_names_the_parameter_both_shapes_and_the_reason_and_changes_nothing(
    key: str, shape: tuple[int, ...], reason: str, pretraining: Path
) -> None:
    weights = safetensors.torch.load_file(pretraining / "model.safetensors")
    model = heads.BertForPreTraining(config())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fits = tuple(weights[key].shape)
    with pytest.raises(ModelFilesError) as caught:
        checkpoint.load_weights(model, weights | {key: torch.zeros(shape)}, "some folder")
    for part in (key, str(shape), str(fits), "'some folder'", reason):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


# ---- overrides


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of three classes with names, saved by transformers."""
    folder = tmp_path_factory.mktemp("three")
    settings = transformers.BertConfig(**SIZES, id2label={0: "a", 1: "b", 2: "c"}, label2id={"a": 0, "b": 1, "c": 2})
    drawn(transformers.BertForSequenceClassification(settings)).save_pretrained(folder)
    return folder


def test_the_names_of_classes_come_with_the_file(three: Path) -> None:
    model = heads.BertForSequenceClassification.from_pretrained(three)
    assert model.config.num_labels == 3
    assert model.config.to_dict()["id2label"] == {"0": "a", "1": "b", "2": "c"}


def test_another_number_of_classes_is_a_misfit_that_says_so(three: Path) -> None:
    for override in ({"num_labels": 5}, {"id2label": dict(enumerate("abcde"))}):
        with pytest.raises(
            ModelFilesError, match=r"classifier\.weight has shape \(3, 22\) .* \(5, 22\) .*another num_labels"
        ):
            heads.BertForSequenceClassification.from_pretrained(three, **override)


def test_names_or_a_number_of_classes_may_be_given(pretraining: Path, three: Path, tmp_path: Path) -> None:
    again = heads.BertForSequenceClassification.from_pretrained(three, num_labels=3)
    assert again.config.num_labels == 3 and again.load_report.missing == ()
    with pytest.warns(UserWarning, match="classifier is new"):
        model = heads.BertForTokenClassification.from_pretrained(
            pretraining, id2label={0: "O", 1: "B", 2: "I"}, label2id={"O": 0, "B": 1, "I": 2}, num_labels=3
        )
    assert model.classifier.out_features == 3
    model.save_pretrained(tmp_path)
    assert transformers.BertConfig.from_pretrained(tmp_path).id2label == {0: "O", 1: "B", 2: "I"}
    with pytest.raises(ValueError, match="id2label names 1 classes, and num_labels is another number"):
        heads.BertForTokenClassification.from_pretrained(pretraining, id2label={0: "O"}, num_labels=4)


def test_an_unknown_override_is_refused_in_a_sentence(pretraining: Path) -> None:
    with pytest.raises(TypeError, match="has no field 'num_lables'") as caught:
        heads.BertForSequenceClassification.from_pretrained(pretraining, num_lables=3)
    assert "\n" not in str(caught.value)


def test_other_overrides_reach_the_model(pretraining: Path) -> None:
    model = heads.BertLMHeadModel.from_pretrained(pretraining, is_decoder=True, hidden_dropout_prob=0.5)
    assert model.bert.config.is_decoder and model.bert.embeddings.dropout.p == 0.5


# ---- files


@pytest.mark.parametrize("fails", ["save_file", "write_text"])
def test_a_failing_write_leaves_the_old_files(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(BertModel(config())).save_pretrained(tmp_path)
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError("no space left on device")

    if fails == "save_file":

        def half(tensors, path, **_):
            Path(path).write_bytes(b"half")
            full()

        monkeypatch.setattr(safetensors.torch, "save_file", half)
    else:
        monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space left"):
        BertModel(config(num_hidden_layers=1)).save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_a_model_is_not_saved_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("mine", encoding="utf-8")
    with pytest.raises(ModelFilesError, match="is a file; give a folder"):
        BertModel(config()).save_pretrained(tmp_path / "model")
    assert (tmp_path / "model").read_text(encoding="utf-8") == "mine"


def test_what_a_folder_lacks_is_said(tmp_path: Path, pretraining: Path) -> None:
    with pytest.raises(ModelFilesError, match="has no config"):
        BertModel.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((pretraining / "config.json").read_bytes())
    with pytest.raises(ModelFilesError, match="has no weights"):
        BertModel.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((pretraining / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(ModelFilesError, match=r"model\.safetensors"):
        BertModel.from_pretrained(tmp_path)
    with pytest.raises(ModelFilesError, match="There is no folder"):
        BertModel.from_pretrained(tmp_path / "nowhere")


# ---- the default model, real weights


@pytest.fixture
def default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_MODEL", raising=False)


def test_the_default_model_travels_to_transformers_and_back(default, tmp_path: Path) -> None:
    ours = BertModel.from_pretrained("default")
    assert ours.load_report == checkpoint.LoadReport((), ())
    ours.save_pretrained(tmp_path)
    theirs, said = report(transformers.AutoModel, tmp_path)
    assert not said["missing_keys"] and not said["unexpected_keys"]
    ids = torch.tensor([[101, 7592, 2088, 102, 0], [101, 2023, 2003, 2307, 102]])
    one, two = ours(ids, (ids > 0).long()), theirs(ids, (ids > 0).long())
    torch.testing.assert_close(one.last_hidden_state[ids > 0], two.last_hidden_state[ids > 0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(one.pooler_output, two.pooler_output, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_every_head_sits_on_the_default_model(name: str, default) -> None:
    with pytest.warns(UserWarning, match="is new: train it"):
        model = class_of(name).from_pretrained(num_hidden_layers=1)
    assert model.bert.embeddings.word_embeddings.weight.shape == (30522, 384)
    assert all(key.startswith(("cls.", "classifier.", "qa_outputs.")) for key in model.load_report.missing)
    assert all(key.startswith("pooler.") for key in model.load_report.unexpected)
    ids = torch.tensor([[101, 7592, 2088, 102]])
    out = model(ids[:, None] if "MultipleChoice" in name else ids)
    assert out.loss is None
    assert not hasattr(model, "tied") or tied(model)


def test_a_field_of_the_configuration_survives_the_journey(tmp_path: Path) -> None:
    ours = BertModel(dataclasses.replace(config(something_of_theirs=7), hidden_act="relu"))
    ours.save_pretrained(tmp_path)
    again = BertModel.from_pretrained(tmp_path)
    assert again.config.other["something_of_theirs"] == 7 and again.config.hidden_act == "relu"
    assert transformers.BertConfig.from_pretrained(tmp_path).something_of_theirs == 7
