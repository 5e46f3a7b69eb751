"""Every head beside transformers' class of the same name: same random weights, same inputs, same numbers."""

import copy
import dataclasses

import pytest
import torch
import transformers

from course_lib import heads
from course_lib.config import BertConfig

SIZES = {
    "vocab_size": 37, "hidden_size": 22, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 31,
    "max_position_embeddings": 17, "type_vocab_size": 3, "initializer_range": 0.3, "num_labels": 3,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
B, M, T = 3, 5, 7
HEADS = [
    "BertForPreTraining", "BertForMaskedLM", "BertLMHeadModel", "BertForNextSentencePrediction",
    "BertForSequenceClassification", "BertForMultipleChoice", "BertForTokenClassification", "BertForQuestionAnswering",
]  # fmt: skip
WORD_HEADS = HEADS[:3]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny tensors: a second thread would only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sizes(name: str, **other) -> dict:
    return SIZES | ({"num_labels": 2} if name == "BertForQuestionAnswering" else {}) | other


def pair(name: str, attention: str = "sdpa", **other) -> tuple:
    """transformers' model and ours with its weights; the biases are drawn too, so that a lost one shows."""
    torch.manual_seed(5)
    config = transformers.BertConfig(**sizes(name, **other), attn_implementation=attention)
    theirs = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    ours = getattr(heads, name)(BertConfig.from_dict(sizes(name, **other))).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    return theirs, ours


def inputs(name: str, batch: int = B, padding: str = "right") -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(7)
    shape = (batch, M, T) if name == "BertForMultipleChoice" else (batch, T)
    mask = torch.ones(shape, dtype=torch.long)
    if padding == "right":
        mask[0, ..., T - 2 :] = 0
    elif padding == "left":
        mask[0, ..., :2] = 0
    return {
        "input_ids": torch.randint(1, 37, shape, generator=draw),
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 3, shape, generator=draw),
    }


def labels(name: str, batch: int = B) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(11)

    def classes(number: int, *shape: int) -> torch.Tensor:
        return torch.randint(0, number, shape, generator=draw)

    tokens = classes(37, batch, T)
    tokens[0, 2:5] = -100
    return {
        "BertForPreTraining": {"labels": tokens, "next_sentence_label": classes(2, batch)},
        "BertForMaskedLM": {"labels": tokens},
        "BertLMHeadModel": {"labels": tokens},
        "BertForNextSentencePrediction": {"labels": classes(2, batch)},
        "BertForSequenceClassification": {"labels": classes(3, batch)},
        "BertForMultipleChoice": {"labels": classes(M, batch)},
        "BertForTokenClassification": {"labels": torch.where(tokens < 0, tokens, tokens % 3)},
        "BertForQuestionAnswering": {"start_positions": classes(T, batch), "end_positions": classes(T, batch)},
    }[name]


def check_equal(theirs, ours, given: dict) -> None:
    """Outputs, loss and every gradient within 1e-5."""
    one, two = theirs(**given), ours(**given)
    fields = ("loss", "logits", "prediction_logits", "seq_relationship_logits", "start_logits", "end_logits")
    compared = 0
    for field in fields:
        expected, found = getattr(one, field, None), getattr(two, field, None)
        assert (expected is None) == (found is None), field
        if expected is not None:
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, msg=lambda text, f=field: f"{f}: {text}")
            compared += 1
    assert compared
    for field in ("hidden_states", "attentions"):
        for expected, found in zip(getattr(one, field) or (), getattr(two, field) or (), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    if one.loss is None:
        return
    for model, out in ((theirs, one), (ours, two)):
        model.zero_grad()
        out.loss.backward()
    found = {key: p.grad for key, p in ours.named_parameters()}
    for key, parameter in theirs.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(
                found[key], parameter.grad, rtol=1e-5, atol=1e-5, msg=lambda t, k=key: f"{k}: {t}"
            )


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", HEADS)
def test_outputs_loss_and_gradients_are_those_of_transformers(name: str, attention: str) -> None:
    theirs, ours = pair(name, attention)
    asked = {"output_hidden_states": True, "output_attentions": attention == "eager"}
    for batch, padding in ((B, "right"), (B, "left"), (1, "none")):
        check_equal(theirs, ours, inputs(name, batch, padding) | asked)
        check_equal(theirs, ours, inputs(name, batch, padding) | labels(name, batch))


@pytest.mark.parametrize("name", HEADS)
def test_vectors_may_come_in_place_of_ids_with_positions_of_their_own(name: str) -> None:
    theirs, ours = pair(name)
    given = inputs(name)
    vectors = ours.bert.embeddings.word_embeddings(given.pop("input_ids")).detach()
    positions = torch.arange(T).flip(0).expand(given["attention_mask"].shape)
    check_equal(theirs, ours, given | {"inputs_embeds": vectors, "position_ids": positions})


@pytest.mark.parametrize("name", HEADS)
def test_dropout_of_the_head_is_on_in_training_only(name: str) -> None:
    _, ours = pair(name, classifier_dropout=0.5)
    given = inputs(name)
    field = {"BertForPreTraining": "prediction_logits", "BertForQuestionAnswering": "start_logits"}.get(name, "logits")
    has_dropout = name.endswith(("SequenceClassification", "MultipleChoice", "TokenClassification"))

    def same() -> bool:
        return torch.equal(getattr(ours(**given), field), getattr(ours(**given), field))

    assert same()
    ours.train()
    assert same() == (not has_dropout)


def test_classifier_dropout_is_hidden_dropout_unless_it_is_given() -> None:
    config = BertConfig.from_dict(SIZES | {"hidden_dropout_prob": 0.25})
    assert heads.BertForTokenClassification(config).dropout.p == 0.25
    assert heads.BertForTokenClassification(dataclasses.replace(config, classifier_dropout=0.0)).dropout.p == 0.0


# ---- sequence classification: three losses


def class_labels(kind: str, classes: int, dtype: torch.dtype) -> torch.Tensor:
    draw = torch.Generator().manual_seed(13)
    if kind == "single_label_classification":
        return torch.tensor([0, 2, -100]).to(dtype)
    shape = (B,) if classes == 1 else (B, classes)
    if kind == "multi_label_classification":
        return torch.randint(0, 2, (B, classes), generator=draw).to(dtype)
    return (torch.randn(shape, generator=draw) * 3).to(dtype)


@pytest.mark.parametrize("said", [False, True], ids=["chosen", "set"])
@pytest.mark.parametrize(
    ("kind", "classes", "dtype"),
    [
        ("regression", 1, torch.float32),
        ("regression", 1, torch.long),
        ("single_label_classification", 3, torch.long),
        ("multi_label_classification", 3, torch.float32),
    ],
)
def test_problem_type_is_chosen_and_set_as_in_transformers(kind: str, classes: int, dtype, said: bool) -> None:
    theirs, ours = pair(HEADS[4], num_labels=classes, problem_type=kind if said else None)
    check_equal(theirs, ours, inputs(HEADS[4]) | {"labels": class_labels(kind, classes, dtype)})
    assert theirs.config.problem_type == kind
    assert ours.config.problem_type == (kind if said else None)  # a batch does not change the configuration


@pytest.mark.parametrize(
    ("kind", "classes"), [("regression", 3), ("multi_label_classification", 1)], ids=["several numbers", "one label"]
)
def test_a_set_problem_type_is_taken_at_its_word(kind: str, classes: int) -> None:
    theirs, ours = pair(HEADS[4], num_labels=classes, problem_type=kind)
    check_equal(theirs, ours, inputs(HEADS[4]) | {"labels": class_labels(kind, classes, torch.float32)})


def test_whole_multi_labels_count_as_numbers_once_the_problem_type_is_set() -> None:
    _, ours = pair(HEADS[4], problem_type="multi_label_classification")
    whole = class_labels("multi_label_classification", 3, torch.long)
    given = inputs(HEADS[4])
    assert torch.equal(ours(**given, labels=whole).loss, ours(**given, labels=whole.float()).loss)


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_regression_on_a_batch_of_one(shape: tuple[int, ...]) -> None:
    theirs, ours = pair(HEADS[4], num_labels=1)
    check_equal(theirs, ours, inputs(HEADS[4], batch=1) | {"labels": torch.full(shape, 1.5)})


def test_labels_as_a_column_are_taken_as_in_transformers() -> None:
    for name in ("BertForSequenceClassification", "BertForNextSentencePrediction"):
        theirs, ours = pair(name)
        check_equal(theirs, ours, inputs(name) | {"labels": labels(name)["labels"][:, None]})
    theirs, ours = pair(HEADS[4], num_labels=1)
    check_equal(theirs, ours, inputs(HEADS[4]) | {"labels": torch.tensor([[1.0], [2.0], [-1.0]])})


# ---- question answering: positions


@pytest.mark.parametrize("shape", [(B,), (B, 1)])
@pytest.mark.parametrize("positions", [[T, 2, 1], [T + 90, 2, T], [-1, 3, -100], [0, T - 1, 5]])
def test_answer_positions_out_of_range_count_as_in_transformers(positions: list[int], shape: tuple[int, ...]) -> None:
    theirs, ours = pair(HEADS[7])
    start, end = torch.tensor(positions).view(shape), torch.tensor([2, 3, 4]).view(shape)
    check_equal(theirs, ours, inputs(HEADS[7]) | {"start_positions": start, "end_positions": end})


def test_an_answer_past_the_end_is_ignored_and_one_before_the_start_trains_the_first_token() -> None:
    _, ours = pair(HEADS[7])
    given, end = inputs(HEADS[7]), torch.tensor([1, 1, 1])

    def loss(*start: int) -> torch.Tensor:
        return ours(**given, start_positions=torch.tensor(start), end_positions=end).loss

    assert torch.equal(loss(T, 2, 3), loss(T + 50, 2, 3))
    assert torch.equal(loss(-1, 2, 3), loss(0, 2, 3))
    assert not torch.equal(loss(T, 2, 3), loss(0, 2, 3))


@pytest.mark.parametrize("name", ["BertForPreTraining", "BertForQuestionAnswering"])
def test_one_of_two_labels_gives_no_loss_as_in_transformers(name: str) -> None:
    theirs, ours = pair(name)
    for key, value in labels(name).items():
        check_equal(theirs, ours, inputs(name) | {key: value})
        assert ours(**inputs(name), **{key: value}).loss is None


# ---- words: the causal head


def test_a_decoder_agrees_with_transformers() -> None:
    theirs, ours = pair("BertLMHeadModel", is_decoder=True)
    for padding in ("none", "right"):
        check_equal(theirs, ours, inputs("BertLMHeadModel", padding=padding) | labels("BertLMHeadModel"))


@pytest.mark.parametrize(("is_decoder", "leaks"), [(False, True), (True, False)])
def test_only_a_decoder_cannot_see_the_future(is_decoder: bool, leaks: bool) -> None:
    _, ours = pair("BertLMHeadModel", is_decoder=is_decoder)
    ids = inputs("BertLMHeadModel")["input_ids"]
    changed = ids.clone()
    changed[:, 5] = 1 + changed[:, 5] % 36
    before, after = ours(ids).logits[:, :5], ours(changed).logits[:, :5]
    assert bool((before - after).abs().max() > 1e-3) == leaks
    if not leaks:
        torch.testing.assert_close(before, after)


def test_the_loss_of_a_token_is_about_the_next_one() -> None:
    _, ours = pair("BertLMHeadModel", is_decoder=True)
    ids = inputs("BertLMHeadModel")["input_ids"]
    out = ours(ids, labels=ids)
    chances = out.logits.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])
    torch.testing.assert_close(out.loss, -chances.mean())


@pytest.mark.parametrize("is_decoder", [True, False])
@pytest.mark.parametrize("batch", [1, 3])
def test_greedy_generation_is_that_of_transformers(batch: int, is_decoder: bool) -> None:
    theirs, ours = pair("BertLMHeadModel", is_decoder=is_decoder)
    ids = inputs("BertLMHeadModel", batch)["input_ids"][:, :4]
    expected = theirs.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=False, max_new_tokens=9, pad_token_id=0
    )
    found = ours.generate(ids, max_new_tokens=9)
    assert found.shape == (batch, 13)
    assert torch.equal(found, expected)


def test_sampling_repeats_with_the_same_generator_and_freezes_with_the_cold() -> None:
    _, ours = pair("BertLMHeadModel", is_decoder=True)
    ids = inputs("BertLMHeadModel")["input_ids"][:, :4]

    def drawn(seed: int, temperature: float = 3.0) -> torch.Tensor:
        return ours.generate(ids, 9, temperature, torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert torch.equal(drawn(1, temperature=1e-4), ours.generate(ids, 9))


def test_generation_refuses_in_a_sentence() -> None:
    _, ours = pair("BertLMHeadModel", is_decoder=True)
    ids = torch.ones(1, 10, dtype=torch.long)
    with pytest.raises(ValueError, match=r"temperature is -1.*0 takes the best word"):
        ours.generate(ids, 1, temperature=-1)
    with pytest.raises(ValueError, match=r"max_new_tokens is 8 after 10 tokens; .* positions for 17, so 0 to 7 fit"):
        ours.generate(ids, 8)
    assert ours.generate(ids, 7).shape == (1, 17)
    assert torch.equal(ours.generate(ids, 0), ids)


# ---- words: labelled positions alone


@pytest.mark.parametrize("name", WORD_HEADS)
def test_labelled_positions_alone_give_the_same_loss_and_gradients(name: str) -> None:
    _, full = pair(name)
    few = copy.deepcopy(full)
    given = inputs(name) | labels(name)
    one, two = full(**given), few(**given, full_logits=False)
    torch.testing.assert_close(two.loss, one.loss)
    one.loss.backward()
    two.loss.backward()
    for (key, a), (_, b) in zip(full.named_parameters(), few.named_parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), key
        if a.grad is not None:
            torch.testing.assert_close(b.grad, a.grad, msg=lambda text, k=key: f"{k}: {text}")
    field = "prediction_logits" if name == "BertForPreTraining" else "logits"
    chosen = given["labels"] != -100
    if name == "BertLMHeadModel":  # a token is scored where the next one has a label
        chosen = torch.cat([chosen[:, 1:], torch.zeros(B, 1, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(getattr(two, field), getattr(one, field)[chosen])
    assert getattr(few(**inputs(name), full_logits=False), field).shape == (B, T, 37)  # no labels: all


@pytest.mark.parametrize("name", WORD_HEADS)
def test_a_batch_without_any_label_gives_nan_and_no_gradient_both_ways(name: str) -> None:
    _, ours = pair(name)
    given = inputs(name) | labels(name) | {"labels": torch.full((B, T), -100)}
    given.pop("next_sentence_label", None)
    sentences = {"next_sentence_label": torch.full((B,), -100)} if name == "BertForPreTraining" else {}
    for full in (True, False):
        out = ours(**given, **sentences, full_logits=full)
        assert out.loss.isnan()
        logits = out.prediction_logits if name == "BertForPreTraining" else out.logits
        assert logits.shape == ((B, T, 37) if full else (0, 37))
        ours.zero_grad()
        out.loss.backward()
        assert all(p.grad is None or bool((p.grad == 0).all()) for p in ours.parameters())


# ---- tied weights


def check_tied(model) -> None:
    predictions, table = model.cls.predictions, model.bert.embeddings.word_embeddings
    assert predictions.decoder.weight is table.weight
    assert predictions.decoder.bias is predictions.bias
    assert predictions.decoder.out_features == table.num_embeddings == len(table.weight) == len(predictions.bias)
    assert model.config.vocab_size == model.bert.config.vocab_size == len(table.weight)
    names = [name for name, _ in model.named_parameters()]
    assert "cls.predictions.decoder.weight" not in names and "cls.predictions.decoder.bias" not in names


@pytest.mark.parametrize("name", WORD_HEADS)
def test_tied_weights_stay_tied(name: str) -> None:
    theirs, model = pair(name)
    check_tied(model)  # after load_state_dict
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in theirs.parameters())
    again = copy.deepcopy(model)
    check_tied(again)
    assert again.cls.predictions.decoder.weight is not model.cls.predictions.decoder.weight
    check_tied(again.to(torch.bfloat16))
    check_tied(again.half().float())
    check_tied(again.to("cpu", torch.float64))
    check_tied(again.to("meta").to_empty(device="cpu"))  # a move that makes new parameters
    model.train()
    step = torch.optim.SGD(model.parameters(), lr=0.1)
    model(**inputs(name), **labels(name)).loss.backward()
    step.step()
    check_tied(model)


@pytest.mark.parametrize("size", [53, 37, 23])
@pytest.mark.parametrize("name", WORD_HEADS)
def test_another_vocabulary_keeps_its_rows_their_scores_and_the_ties(name: str, size: int) -> None:
    _, model = pair(name)
    config = model.config
    ids = inputs(name)["input_ids"] % min(size, 37)
    field = "prediction_logits" if name == "BertForPreTraining" else "logits"
    before = getattr(model(ids), field)
    model.resize_token_embeddings(size)
    check_tied(model)
    after = getattr(model(ids), field)
    kept = min(size, 37)
    assert after.shape == (B, T, size)
    torch.testing.assert_close(after[..., :kept], before[..., :kept])
    new = model.bert.embeddings.word_embeddings.weight[kept:]
    assert new.numel() == 0 or 0.2 < float(new.detach().std()) < 0.4  # drawn with the initializer_range, 0.3
    assert config.vocab_size == 37  # other models may have been built from it
    given = labels(name)
    given["labels"] = torch.full_like(given["labels"], size - 1)  # the last row of all may be asked for
    model(ids, **given).loss.backward()
    assert model.bert.embeddings.word_embeddings.weight.grad.shape == (size, 22)


def test_another_vocabulary_for_a_head_without_words() -> None:
    _, model = pair("BertForSequenceClassification")
    given = inputs("BertForSequenceClassification")
    before = model(**given).logits
    model.resize_token_embeddings(40)
    torch.testing.assert_close(model(**given).logits, before)
    assert model(torch.full((1, 4), 39)).logits.shape == (1, 3)
    with pytest.raises(ValueError, match="size is 0; the vocabulary needs a row for padding"):
        model.resize_token_embeddings(0)


@pytest.mark.parametrize("name", WORD_HEADS)
def test_a_configuration_may_leave_the_words_untied(name: str) -> None:
    theirs, ours = pair(name, tie_word_embeddings=False)
    assert ours.cls.predictions.decoder.weight is not ours.bert.embeddings.word_embeddings.weight
    check_equal(theirs, ours, inputs(name) | labels(name))
    before = ours.cls.predictions.decoder.weight.detach().clone()
    ours.resize_token_embeddings(41)
    torch.testing.assert_close(ours.cls.predictions.decoder.weight[:37], before)
    assert len(ours.cls.predictions.decoder.bias) == 41


# ---- bad labels and inputs


@pytest.mark.parametrize(
    ("name", "bad", "error", "words"),
    [
        ("BertForMaskedLM", {"labels": torch.zeros(B, T + 1).long()}, ValueError, r"labels has shape \(3, 8\); \(3, 7\) fits"),
        ("BertForMaskedLM", {"labels": torch.full((B, T), 37)}, ValueError, "labels holds 37; with 37 classes, 0 to 36 fit"),
        ("BertForMaskedLM", {"labels": torch.full((B, T), -1)}, ValueError, "labels holds -1; .* and -100 for none"),
        ("BertForMaskedLM", {"labels": torch.zeros(B, T)}, TypeError, r"labels holds torch.float32; .*labels.long\(\)"),
        ("BertLMHeadModel", {"labels": torch.zeros(B).long()}, ValueError, r"labels has shape \(3,\); \(3, 7\) fits"),
        ("BertLMHeadModel", {"labels": torch.full((B, T), 99)}, ValueError, "labels holds 99"),
        ("BertForPreTraining", {"labels": torch.zeros(B, T).long(), "next_sentence_label": torch.tensor([0, 1, 2])},
         ValueError, "next_sentence_label holds 2; with 2 classes"),
        ("BertForNextSentencePrediction", {"labels": torch.tensor([0, 1])}, ValueError, r"labels has shape \(2,\); \(3,\) fits"),
        ("BertForNextSentencePrediction", {"labels": torch.tensor([True, False, True])}, TypeError, "labels holds torch.bool"),
        ("BertForSequenceClassification", {"labels": torch.tensor([0, 1, 3])}, ValueError, "labels holds 3; with 3 classes"),
        ("BertForSequenceClassification", {"labels": torch.tensor([0.0, 1.0, 2.0])}, ValueError,
         r"labels has shape \(3,\); \(3, 3\) fits .* for one class a text, give whole numbers: labels.long\(\)"),
        ("BertForSequenceClassification", {"labels": torch.zeros(B, 3).long()}, ValueError,
         r"labels has shape \(3, 3\), a number for each class; .* give labels.float\(\)"),
        ("BertForMultipleChoice", {"labels": torch.tensor([0, 1, M])}, ValueError, "labels holds 5; with 5 classes"),
        ("BertForMultipleChoice", {"token_type_ids": torch.zeros(B, T).long()}, ValueError,
         r"token_type_ids has shape \(3, 7\); .*\(B, M, T\)"),
        ("BertForMultipleChoice", {"input_ids": torch.ones(B, T).long(), "attention_mask": None, "token_type_ids": None},
         ValueError, r"input_ids has shape \(3, 7\); .*\(B, M, T\)"),
        ("BertForMultipleChoice", {"input_ids": None}, ValueError, r"Give either input_ids \(B, M, T\)"),
        ("BertForTokenClassification", {"labels": torch.full((B, T), 3)}, ValueError, "labels holds 3; with 3 classes"),
        ("BertForQuestionAnswering", {"start_positions": torch.zeros(B, 2).long(), "end_positions": torch.zeros(B).long()},
         ValueError, r"start_positions has shape \(3, 2\); \(3,\) fits"),
        ("BertForQuestionAnswering", {"start_positions": torch.zeros(B).long(), "end_positions": torch.zeros(B)},
         TypeError, "end_positions holds torch.float32"),
    ],
)  # fmt: skip
def test_bad_labels_and_inputs_are_refused_in_a_sentence(name: str, bad: dict, error: type, words: str) -> None:
    _, ours = pair(name)
    given = {key: value for key, value in (inputs(name) | bad).items() if value is not None}
    with pytest.raises(error, match=words) as caught:
        ours(**given)
    assert "\n" not in str(caught.value)


def test_an_unknown_problem_type_is_refused_when_there_are_labels() -> None:
    _, ours = pair(HEADS[4])
    ours.config = dataclasses.replace(ours.config, problem_type="guess")
    assert ours(**inputs(HEADS[4])).loss is None
    with pytest.raises(ValueError, match=r"problem_type is 'guess'; it may be regression"):
        ours(**inputs(HEADS[4]), **labels(HEADS[4]))


def test_question_answering_has_two_scores() -> None:
    with pytest.raises(ValueError, match="num_labels is 3; here it must be 2: a score for start and one for end"):
        heads.BertForQuestionAnswering(BertConfig.from_dict(SIZES))


def test_a_fourth_position_is_not_mistaken_for_labels() -> None:
    _, ours = pair("BertForTokenClassification")
    with pytest.raises(TypeError):  # transformers has position_ids there
        ours(*inputs("BertForTokenClassification").values(), torch.arange(T)[None])


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_class_numbers_may_be_of_any_whole_kind(dtype: torch.dtype) -> None:
    for name in ("BertForTokenClassification", "BertForQuestionAnswering"):
        _, ours = pair(name)
        given = {key: value.clamp(min=0) for key, value in labels(name).items()}
        small = {key: value.to(dtype) for key, value in given.items()}
        assert torch.equal(ours(**inputs(name), **small).loss, ours(**inputs(name), **given).loss)


@pytest.mark.parametrize("name", HEADS)
def test_a_training_step_in_bfloat16_autocast_stays_near_float32(name: str) -> None:
    _, ours = pair(name)
    given = inputs(name) | labels(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ours(**given).loss
    loss.backward()
    torch.testing.assert_close(loss.float(), ours(**given).loss, rtol=0.05, atol=0.05)


def test_labelled_positions_are_scored_in_few_sizes_and_none_too_many_is_seen() -> None:
    from course_lib.heads import _even

    assert _even(0) == 0
    assert all(n <= _even(n) <= n * 9 / 8 + 1 for n in range(1, 5000))
    assert len({_even(n) for n in range(1000, 2001)}) <= 9
