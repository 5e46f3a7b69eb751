"""course_lib.bert against transformers: the same weights give the same numbers, whatever the sizes and the padding."""

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from course_lib import bert
from course_lib.bert import ACTIVATIONS, BertModel, BertOutput
from course_lib.config import BertConfig
from course_lib.pretrained import load_model, load_tokenizer

# Primes, and no two alike, so that no mixed-up dimension can fit by chance. H = 14 = N * D with N 2 or 7, and others.
SIZES = {
    "vocab_size": 101, "hidden_size": 14, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 23,
    "max_position_embeddings": 17, "type_vocab_size": 3, "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
B, T = 5, 11
TOLERANCE = 1e-5


@pytest.fixture(autouse=True, scope="module")
def _two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def pair(attention: str = "sdpa", family: str = "Bert", **fields: object) -> tuple[BertModel, nn.Module]:
    """Our model and transformers' with the same random weights; every bias and every LayerNorm is random too."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**SIZES, **fields}, attn_implementation=attention)
    theirs = getattr(transformers, f"{family}Model")(config).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if parameter.dim() == 1:
                parameter.normal_(1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.2)
    ours = BertModel(BertConfig.from_dict(config.to_dict())).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def inputs(b: int = B, t: int = T, seed: int = 1, vocabulary: int = SIZES["vocab_size"]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "input_ids": torch.randint(1, vocabulary, (b, t), generator=generator),
        "token_type_ids": torch.randint(0, SIZES["type_vocab_size"], (b, t), generator=generator),
    }


def padding(side: str, b: int = B, t: int = T) -> Tensor | None:
    """(B, T): row i has i tokens of padding (as many as fit), on that side."""
    if side == "none":
        return None
    mask = torch.ones(b, t, dtype=torch.long)
    for row in range(b):
        amount = min(row, t - 1)
        mask[row, slice(0, amount) if side == "left" else slice(t - amount, t)] = 0
    return mask


def difference(one: Tensor, other: Tensor, real: Tensor | None = None) -> float:
    """Largest difference, at real tokens where a mask is given."""
    assert one.shape == other.shape
    gap = (one.float() - other.float()).abs()
    assert not gap.isnan().any()
    return (gap if real is None else gap[real.bool()]).max().item()


def assert_same(ours: BertOutput, theirs: object, real: Tensor | None = None) -> None:
    """Every hidden state at real tokens, every attention of a real token, and the pooled output."""
    for field in ("hidden_states", "attentions"):
        mine, reference = getattr(ours, field), getattr(theirs, field)
        assert (mine is None) == (reference is None)
        for one, other in zip(mine or (), reference or (), strict=True):
            if field == "attentions":
                one, other = one.transpose(1, 2), other.transpose(1, 2)  # (B, T, N, T): real tokens are those that look
            assert difference(one, other, real) < TOLERANCE, field
    assert difference(ours.last_hidden_state, theirs.last_hidden_state, real) < TOLERANCE
    first = None if real is None else real[:, 0]  # with padding on the left, the pooler reads padding
    if first is None or first.any():
        assert difference(ours.pooler_output, theirs.pooler_output, first) < TOLERANCE


def run_both(ours: BertModel, theirs: nn.Module, attentions: bool, **arguments: Tensor | None) -> tuple:
    asked = {"output_hidden_states": True, "output_attentions": attentions}
    with torch.inference_mode():
        return ours(**arguments, **asked), theirs(**arguments, **asked)


# Parity -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("side", ["none", "left", "right"])
@pytest.mark.parametrize("layers, heads, hidden, wide", [(1, 1, 7, 5), (2, 2, 14, 23), (3, 7, 14, 3), (2, 13, 13, 29)])
def test_every_hidden_state_attention_and_pooled_output_is_that_of_transformers(
    attention: str, side: str, layers: int, heads: int, hidden: int, wide: int
) -> None:
    ours, theirs = pair(
        attention, num_hidden_layers=layers, num_attention_heads=heads, hidden_size=hidden, intermediate_size=wide
    )
    mask = padding(side)
    mine, reference = run_both(ours, theirs, attention == "eager", **inputs(), attention_mask=mask)
    assert len(mine.hidden_states) == layers + 1
    assert_same(mine, reference, mask)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("b, t", [(1, 1), (1, 2), (3, 1), (1, 17), (2, 17)])
def test_a_batch_of_one_a_single_token_and_the_longest_input_agree(attention: str, b: int, t: int) -> None:
    ours, theirs = pair(attention)
    for mask in (None, padding("right", b, t)):
        mine, reference = run_both(ours, theirs, attention == "eager", **inputs(b, t), attention_mask=mask)
        assert_same(mine, reference, mask)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_every_activation_is_that_of_transformers(name: str) -> None:
    x = torch.linspace(-6, 6, 1001)
    assert difference(bert.activation(name)(x), ACT2FN[name](x)) < 1e-6
    ours, theirs = pair(hidden_act=name)
    assert_same(*run_both(ours, theirs, False, **inputs()))


def test_the_exact_gelu_is_not_the_tanh_form() -> None:
    x = torch.linspace(-3, 3, 101)
    assert difference(bert.activation("gelu")(x), bert.activation("gelu_new")(x)) > 1e-4


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_positions_token_types_and_vectors_may_be_given(attention: str) -> None:
    ours, theirs = pair(attention)
    given_inputs = inputs()
    positions = torch.randint(0, 17, (B, T), generator=torch.Generator().manual_seed(3))
    vectors = torch.randn(B, T, 14, generator=torch.Generator().manual_seed(4))
    mask = padding("left")
    for arguments in (
        {"input_ids": given_inputs["input_ids"]},
        {**given_inputs, "position_ids": positions, "attention_mask": mask},
        {**given_inputs, "position_ids": positions[:1]},
        {"inputs_embeds": vectors, "attention_mask": mask},
        {"inputs_embeds": vectors, "token_type_ids": given_inputs["token_type_ids"], "position_ids": positions},
    ):
        mine, reference = run_both(ours, theirs, attention == "eager", **arguments)
        assert_same(mine, reference, arguments.get("attention_mask"))


def test_ids_of_32_bits_and_masks_of_any_kind_of_number_give_the_same() -> None:
    ours, _ = pair()
    ids, mask = inputs()["input_ids"], padding("right")
    expected = ours(ids, mask).last_hidden_state
    assert torch.equal(ours(ids.int(), mask).last_hidden_state, expected)
    for kind in (torch.bool, torch.int32, torch.uint8, torch.float32, torch.float16):
        assert torch.equal(ours(ids, mask.to(kind)).last_hidden_state, expected)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("decoder", [False, True])
def test_a_mask_of_three_dimensions_says_who_sees_whom(attention: str, decoder: bool) -> None:
    ours, theirs = pair(attention, is_decoder=decoder, use_cache=False)
    seen = torch.rand(B, T, T, generator=torch.Generator().manual_seed(5)) > 0.4
    seen |= torch.eye(T, dtype=torch.bool)
    allowed = seen.tril() if decoder else seen  # transformers takes a mask of four dimensions as it is
    added = torch.zeros(B, 1, T, T).masked_fill(~allowed[:, None], torch.finfo(torch.float32).min)
    asked = {"output_hidden_states": True, "output_attentions": attention == "eager"}
    with torch.inference_mode():
        mine = ours(**inputs(), attention_mask=seen, **asked)
        reference = theirs(**inputs(), attention_mask=added, **asked)
    assert_same(mine, reference)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_a_decoder_sees_only_the_past_as_in_transformers(attention: str, side: str) -> None:
    ours, theirs = pair(attention, is_decoder=True, use_cache=False)
    mask = padding(side)
    mine, reference = run_both(ours, theirs, attention == "eager", **inputs(), attention_mask=mask)
    assert_same(mine, reference, mask)


def test_the_last_token_changes_nothing_before_it_in_a_decoder_and_does_in_an_encoder() -> None:
    ids = inputs()["input_ids"]
    changed = ids.clone()
    changed[:, -1] = (ids[:, -1] + 1) % 101
    for decoder in (True, False):
        model, _ = pair(is_decoder=decoder)
        for explicit in (True, False):
            before, after = (model(x, output_attentions=explicit).last_hidden_state[:, :-1] for x in (ids, changed))
            assert (difference(before, after) < 1e-6) == decoder


@pytest.mark.parametrize("task", [True, False])
def test_ernie_is_the_same_model_with_or_without_a_task_table(task: bool) -> None:
    ours, theirs = pair("eager", family="Ernie", use_task_id=task, task_type_vocab_size=5)
    assert ("embeddings.task_type_embeddings.weight" in ours.state_dict()) == task
    mask = padding("right")
    assert_same(*run_both(ours, theirs, True, **inputs(), attention_mask=mask), mask)
    if task:
        tasks = torch.randint(0, 5, (B, T), generator=torch.Generator().manual_seed(6))
        assert_same(*run_both(ours, theirs, True, **inputs(), task_type_ids=tasks))


@pytest.mark.parametrize("pooler", [True, False])
def test_weights_go_both_ways_with_every_name_alike(pooler: bool) -> None:
    ours = BertModel(BertConfig.from_dict(SIZES), add_pooling_layer=pooler).eval()
    theirs = transformers.BertModel(transformers.BertConfig(**SIZES), add_pooling_layer=pooler).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    mine, reference = run_both(ours, theirs, False, **inputs())
    assert difference(mine.last_hidden_state, reference.last_hidden_state) < TOLERANCE
    assert (mine.pooler_output is None) == (not pooler)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("decoder", [False, True])
def test_gradients_of_all_parameters_are_those_of_transformers(attention: str, decoder: bool) -> None:
    ours, theirs = pair(attention, is_decoder=decoder, use_cache=False)
    mask = padding("right")
    asked = {"output_hidden_states": True, "output_attentions": attention == "eager"}
    for model in (ours, theirs):
        toy_loss(model(**inputs(), attention_mask=mask, **asked), mask).backward()
    expected = dict(theirs.named_parameters())
    assert expected["embeddings.word_embeddings.weight"].grad.abs().max() > 1e-3
    for name, parameter in ours.named_parameters():
        assert difference(parameter.grad, expected[name].grad) < TOLERANCE, name


def toy_loss(output: BertOutput, mask: Tensor) -> Tensor:
    """Something of every hidden state at real tokens and of the pooled output, of size about 1."""
    states = output.hidden_states or (output.last_hidden_state,)
    weight = torch.linspace(-1, 1, states[0].shape[-1])
    real = mask.bool()
    return sum((state[real] * weight).tanh().mean() for state in states) + (output.pooler_output * weight).mean()


@pytest.fixture(scope="module")
def released() -> tuple[BertModel, nn.Module, dict[str, Tensor]]:
    theirs = load_model(attn_implementation="eager")
    texts = ["A dog runs.", "BERT reads both sides of a word, and so it cannot write.", "Yes."]
    batch = dict(load_tokenizer()(texts, padding=True, return_tensors="pt"))
    ours = BertModel.from_pretrained()
    return ours, theirs, batch


def test_the_embedded_model_gives_the_numbers_of_transformers_in_every_layer(released: tuple) -> None:
    ours, theirs, batch = released
    assert not ours.training
    assert_same(*run_both(ours, theirs, True, **batch), batch["attention_mask"])
    with torch.inference_mode():
        fused = ours(**batch, output_hidden_states=True)
        reference = theirs(**batch, output_hidden_states=True)
    for one, other in zip(fused.hidden_states, reference.hidden_states, strict=True):
        assert difference(one, other, batch["attention_mask"]) < TOLERANCE


# What comes back ----------------------------------------------------------------------------------------------------


def test_what_was_not_asked_for_is_none_and_the_configuration_may_ask() -> None:
    model = BertModel(BertConfig.from_dict(SIZES)).eval()
    output = model(inputs()["input_ids"])
    assert output.hidden_states is None and output.attentions is None
    asks = BertModel(BertConfig.from_dict(SIZES, output_hidden_states=True, output_attentions=True)).eval()
    output = asks(inputs()["input_ids"])
    assert [tuple(x.shape) for x in output.hidden_states] == [(B, T, 14)] * 3
    assert [tuple(x.shape) for x in output.attentions] == [(B, 2, T, T)] * 2
    assert asks(inputs()["input_ids"], output_attentions=False).attentions is None
    assert output.last_hidden_state is output.hidden_states[-1] and output.pooler_output.shape == (B, 14)


def test_attention_shares_out_one_and_gives_nothing_to_padding() -> None:
    model, _ = pair()
    mask = padding("right")
    for weights in model(**inputs(), attention_mask=mask, output_attentions=True).attentions:
        assert torch.allclose(weights.sum(-1), torch.ones(B, 2, T))
        assert (weights * (1 - mask)[:, None, None, :]).abs().max() == 0


@pytest.mark.parametrize("decoder", [False, True])
def test_fused_attention_gets_a_mask_or_is_causal_and_never_both(
    decoder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = pair(is_decoder=decoder)
    calls = []
    fused = F.scaled_dot_product_attention

    def spy(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float, is_causal: bool) -> Tensor:
        calls.append((mask is not None, is_causal))
        return fused(q, k, v, mask, dropout, is_causal=is_causal)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    ids = inputs()["input_ids"]
    for mask in (None, torch.ones(B, T), padding("right"), torch.ones(B, T, T), torch.ones(B, T, T).tril()):
        model(ids, mask)
    nothing, some = (False, decoder), (True, False)
    assert calls[::2] == [nothing, nothing, some, nothing, some]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("decoder", [True, False])
def test_a_text_of_padding_alone_gives_numbers_and_leaves_the_others_alone(
    kind: torch.dtype, explicit: bool, decoder: bool
) -> None:
    model = pair(is_decoder=decoder)[0].to(kind)
    ids, mask = inputs()["input_ids"], torch.ones(B, T, dtype=torch.long)
    mask[1] = 0
    output = model(ids, mask, output_attentions=explicit)
    assert output.last_hidden_state.isfinite().all() and output.pooler_output.isfinite().all()
    alone = model(ids[2:3], output_attentions=explicit).last_hidden_state
    assert difference(output.last_hidden_state[2:3], alone) < (1e-5 if kind == torch.float32 else 0.1)


def test_big_scores_do_not_make_padding_seen_nor_numbers_lost_in_half_precision() -> None:
    model, _ = pair()
    with torch.no_grad():
        for layer in model.encoder.layer:
            layer.attention.self.query.weight *= 60  # scores of hundreds, of either sign
    mask = padding("right")
    mask[1] = 0
    for kind in (torch.float32, torch.float16, torch.bfloat16):
        output = model.to(kind)(inputs()["input_ids"], mask, output_attentions=True)
        assert output.last_hidden_state.isfinite().all()
        seen = torch.cat([weights[2:] * (1 - mask)[2:, None, None, :] for weights in output.attentions])
        assert seen.abs().max() == 0


# Training -----------------------------------------------------------------------------------------------------------


def test_dropout_is_on_in_training_and_off_in_evaluation() -> None:
    for field in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        model = pair(**{field: 0.3})[0]
        ids = inputs()["input_ids"]
        for explicit in (True, False):
            model.eval()
            fixed = model(ids, output_attentions=explicit).last_hidden_state
            assert torch.equal(fixed, model(ids, output_attentions=explicit).last_hidden_state)
            model.train()
            one, other = (model(ids, output_attentions=explicit).last_hidden_state for _ in range(2))
            assert difference(one, other) > 0.01 and difference(one, fixed) > 0.01


def test_dropout_strikes_where_transformers_lets_it_strike(monkeypatch) -> None:
    monkeypatch.setattr("course_lib.dropout.dropout", F.dropout)  # ours draws other numbers
    for field in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        ours, theirs = pair("eager", **{field: 0.3})
        outputs = []
        for model in (ours.train(), theirs.train()):
            torch.manual_seed(7)  # the same draws, in the same order
            outputs.append(model(**inputs(), output_hidden_states=True, output_attentions=True))
        for one, other in zip(outputs[0].hidden_states, outputs[1].hidden_states, strict=True):
            assert difference(one, other) < TOLERANCE


@pytest.mark.parametrize("family", ["encoder", "decoder"])
@pytest.mark.parametrize("side", ["none", "left", "right"])
@pytest.mark.parametrize("training", [True, False])
def test_the_first_token_alone_has_the_same_numbers_and_gradients(family: str, side: str, training: bool) -> None:
    model = pair(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, is_decoder=family == "decoder")[0]
    model.train(training)
    results = []
    for alone in (False, True):
        model.zero_grad()
        out = model(**inputs(), attention_mask=padding(side), first_token_only=alone)
        out.pooler_output.sin().sum().backward()
        results.append((out, [p.grad.clone() for p in model.parameters()]))
    whole, first = results
    assert first[0].last_hidden_state.shape == (B, 1, SIZES["hidden_size"])
    assert difference(whole[0].last_hidden_state[:, :1], first[0].last_hidden_state) < TOLERANCE
    assert difference(whole[0].pooler_output, first[0].pooler_output) < TOLERANCE
    assert all(difference(a, b) < 1e-4 for a, b in zip(whole[1], first[1], strict=True))


@pytest.mark.parametrize("asked", ["output_hidden_states", "output_attentions"])
def test_who_asks_for_states_gets_all_tokens(asked: str) -> None:
    out = pair()[0](**inputs(), first_token_only=True, **{asked: True})
    assert out.last_hidden_state.shape == (B, T, SIZES["hidden_size"])


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("explicit", [True, False])
def test_gradient_checkpointing_gives_the_same_gradients(dropout: float, explicit: bool) -> None:
    model = pair(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)[0].train()
    mask, gradients, runs = padding("right"), [], []
    model.encoder.layer[0].intermediate.register_forward_hook(lambda *_: runs.append(1))
    for model.gradient_checkpointing in (False, True):
        model.zero_grad()
        runs.clear()
        torch.manual_seed(11)
        toy_loss(model(**inputs(), attention_mask=mask, output_attentions=explicit), mask).backward()
        assert len(runs) == 1 + model.gradient_checkpointing  # once more, in the backward pass
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert difference(gradient, gradients[1][name]) < 1e-6, name


@pytest.mark.parametrize("explicit", [True, False])
def test_a_bfloat16_model_is_close_to_float32(explicit: bool) -> None:
    model = pair()[0]
    mask = padding("right")
    exact = model(**inputs(), attention_mask=mask).last_hidden_state
    rough = copy.deepcopy(model).to(torch.bfloat16)
    output = rough(**inputs(), attention_mask=mask, output_attentions=explicit)
    assert output.last_hidden_state.dtype == torch.bfloat16
    assert 0 < difference(output.last_hidden_state, exact, mask) < 0.15
    assert F.cosine_similarity(output.last_hidden_state[mask.bool()].float(), exact[mask.bool()]).min() > 0.999


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("checkpointing", [True, False])
def test_autocast_to_bfloat16_trains_and_is_close_to_float32(explicit: bool, checkpointing: bool) -> None:
    model = pair()[0].train()
    model.gradient_checkpointing = checkpointing
    mask = padding("right")
    exact = model(**inputs(), attention_mask=mask).last_hidden_state
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**inputs(), attention_mask=mask, output_attentions=explicit)
        loss = toy_loss(output, mask)
    loss.backward()
    assert F.cosine_similarity(output.last_hidden_state[mask.bool()].float(), exact[mask.bool()]).min() > 0.999
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())


def test_new_weights_are_drawn_as_the_paper_says() -> None:
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=997, hidden_size=128, num_hidden_layers=1, intermediate_size=257,
                                 num_attention_heads=4, pad_token_id=3))  # fmt: skip
    for name, parameter in model.named_parameters():
        if "LayerNorm" in name:
            assert (parameter == (1 if name.endswith("weight") else 0)).all(), name
        elif name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif parameter.numel() > 1000:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.03), name
            assert abs(parameter.mean().item()) < 0.001, name
    words = model.embeddings.word_embeddings.weight
    assert (words[3] == 0).all() and (words[0] != 0).any()
    model(torch.tensor([[3, 5]])).last_hidden_state.square().mean(1).tanh().sum().backward()
    assert (words.grad[3] == 0).all() and (words.grad[5] != 0).any()


def test_the_spread_of_new_weights_is_the_configurations() -> None:
    torch.manual_seed(0)
    model = BertModel(BertConfig.from_dict(SIZES, vocab_size=997, initializer_range=0.5, pad_token_id=None))
    assert model.embeddings.word_embeddings.weight.std().item() == pytest.approx(0.5, rel=0.03)
    assert model.embeddings.word_embeddings.padding_idx is None


# Graphs -------------------------------------------------------------------------------------------------------------


class Plain(nn.Module):
    """The model as graph exporters like it: tensors in, tensors out."""

    def __init__(self, model: BertModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(input_ids, attention_mask)
        return output.last_hidden_state, output.pooler_output


def traced(model: nn.Module) -> Callable:
    return torch.jit.trace(model, (inputs()["input_ids"], torch.ones(B, T, dtype=torch.long)), check_trace=False)


def exported(model: nn.Module) -> Callable:
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=17)}
    example = (inputs()["input_ids"], torch.ones(B, T, dtype=torch.long))
    return torch.export.export(model, example, dynamic_shapes=(free, free)).module()


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.*:FutureWarning")  # from torch 2.14 on; people still use it
@pytest.mark.parametrize("record", [traced, exported])
@pytest.mark.parametrize("decoder", [False, True])
def test_a_graph_recorded_without_padding_holds_with_padding_and_for_other_sizes(
    record: Callable, decoder: bool
) -> None:
    plain = Plain(pair(is_decoder=decoder)[0])
    graph = record(plain)
    for b, t in ((B, T), (2, 7), (3, 17)):
        ids, mask = inputs(b, t)["input_ids"], padding("right", b, t)
        for one, other in zip(graph(ids, mask), plain(ids, mask), strict=True):
            assert difference(one, other) < TOLERANCE


def test_shapes_can_be_had_without_numbers() -> None:
    with torch.device("meta"):
        model = BertModel(BertConfig())
        ids = torch.zeros(2, 7, dtype=torch.long)
        output = model(ids, torch.ones(2, 7))
    assert output.last_hidden_state.shape == (2, 7, 768) and output.last_hidden_state.is_meta
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        model = BertModel(BertConfig.from_dict(SIZES))
        output = model(torch.zeros(2, 7, dtype=torch.long), torch.ones(2, 7))
    assert output.last_hidden_state.shape == (2, 7, 14)


# Invariance ---------------------------------------------------------------------------------------------------------

invariance = settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
texts_of_ids = st.lists(st.lists(st.integers(1, 100), min_size=1, max_size=9), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def one_model() -> BertModel:
    return pair(num_hidden_layers=3)[0]


def encode(model: BertModel, texts: list[list[int]], extra: int, side: str, explicit: bool) -> list[Tensor]:
    """The vectors of each text's tokens (t, H), out of one padded batch; positions count from a text's first token."""
    width = max(map(len, texts)) + extra
    ids, mask = torch.zeros(len(texts), width, dtype=torch.long), torch.zeros(len(texts), width, dtype=torch.long)
    for row, text in enumerate(texts):
        place = slice(width - len(text), width) if side == "left" else slice(0, len(text))
        ids[row, place], mask[row, place] = torch.tensor(text), 1
    positions = (mask.cumsum(1) - 1).clamp(min=0) if side == "left" else None
    with torch.inference_mode():
        output = model(ids, mask, position_ids=positions, output_attentions=explicit)
    return [states[real.bool()] for states, real in zip(output.last_hidden_state, mask, strict=True)]


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("side", ["left", "right"])
@invariance
@given(texts=texts_of_ids, extra=st.integers(0, 8))
def test_a_texts_vectors_do_not_depend_on_padding_nor_on_its_neighbours(
    one_model: BertModel, side: str, explicit: bool, texts: list[list[int]], extra: int
) -> None:
    together = encode(one_model, texts, extra, side, explicit)
    for text, vectors in zip(texts, together, strict=True):
        (alone,) = encode(one_model, [text], 0, "right", explicit)
        assert difference(vectors, alone) < TOLERANCE


@invariance
@given(texts=texts_of_ids, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_a_batch_is_only_an_order(one_model: BertModel, texts: list[list[int]], shuffle: object) -> None:
    order = list(range(len(texts)))
    shuffle.shuffle(order)
    vectors = encode(one_model, texts, 0, "right", False)
    shuffled = encode(one_model, [texts[i] for i in order], 0, "right", False)
    for place, i in enumerate(order):
        assert difference(shuffled[place], vectors[i]) < TOLERANCE


@invariance
@given(text=st.lists(st.integers(1, 100), min_size=1, max_size=17), junk=st.integers(0, 100))
def test_what_stands_under_the_padding_does_not_matter(one_model: BertModel, text: list[int], junk: int) -> None:
    room = 17 - len(text)
    mask = torch.tensor([[1] * len(text) + [0] * room])
    one, other = (
        one_model(torch.tensor([text + [filler] * room]), mask).last_hidden_state[:, : len(text)]
        for filler in (0, junk)
    )
    assert difference(one, other) < TOLERANCE


# Bad input ----------------------------------------------------------------------------------------------------------

IDS = inputs()["input_ids"]
WHERE = torch.zeros(B, T, dtype=torch.long)
BAD = {
    "ids out of the vocabulary": (
        ValueError, {"input_ids": IDS.index_fill(1, torch.tensor([3]), 101)}, "input_ids holds 101", "rows 0 to 100"),
    "negative ids": (ValueError, {"input_ids": IDS - 200}, "input_ids holds -", "rows 0 to 100"),
    "ignored labels as ids": (ValueError, {"input_ids": WHERE - 100}, "input_ids holds -100"),
    "float ids": (TypeError, {"input_ids": IDS.float()}, "input_ids holds torch.float32", "input_ids.long()"),
    "bool ids": (TypeError, {"input_ids": IDS > 3}, "input_ids holds torch.bool"),
    "1-D ids": (ValueError, {"input_ids": IDS[0]}, "input_ids has shape (11,)", "input_ids[None]"),
    "3-D ids": (ValueError, {"input_ids": IDS[None]}, "input_ids has shape (1, 5, 11)", "(B, T) fits"),
    "a list": (TypeError, {"input_ids": IDS.tolist()}, "input_ids is a list", "torch.tensor"),
    "a tokenizer's batch": (
        TypeError, {"input_ids": transformers.BatchEncoding({"input_ids": IDS})}, "a BatchEncoding", "model(**"),
    "no tokens": (ValueError, {"input_ids": IDS[:, :0]}, "shape (5, 0)", "no tokens"),
    "too many tokens": (
        ValueError, {"input_ids": IDS.repeat(1, 2)}, "22 tokens", "positions for 17", "truncation=True"),
    "mask too short": (
        ValueError, {"input_ids": IDS, "attention_mask": torch.ones(B, T - 1)}, "attention_mask has shape (5, 10)",
        "(5, 11)"),
    "mask for one text": (
        ValueError, {"input_ids": IDS, "attention_mask": torch.ones(T)}, "attention_mask has shape (11,)", "(5, 11)"),
    "4-D mask": (
        ValueError, {"input_ids": IDS, "attention_mask": torch.ones(B, 1, T, T)}, "(5, 1, 11, 11)", "(5, 11, 11)"),
    "mask to be added": (
        ValueError, {"input_ids": IDS, "attention_mask": torch.ones(B, T).log() - 10000.0}, "attention_mask holds -10000"),
    "mask is a list": (
        TypeError, {"input_ids": IDS, "attention_mask": torch.ones(B, T).tolist()}, "attention_mask is a list"),
    "token types out of range": (
        ValueError, {"input_ids": IDS, "token_type_ids": WHERE + 3}, "token_type_ids holds 3", "rows 0 to 2"),
    "token types of another shape": (
        ValueError, {"input_ids": IDS, "token_type_ids": WHERE[:, 1:]}, "token_type_ids has shape (5, 10)", "(5, 11)"),
    "token types for one text": (
        ValueError, {"input_ids": IDS, "token_type_ids": WHERE[:1]}, "token_type_ids has shape (1, 11)", "(5, 11)"),
    "positions out of range": (
        ValueError, {"input_ids": IDS, "position_ids": WHERE + 17}, "position_ids holds 17", "rows 0 to 16"),
    "tasks without a table": (ValueError, {"input_ids": IDS, "task_type_ids": WHERE}, "task_type_ids", "use_task_id"),
    "neither": (ValueError, {}, "either input_ids", "neither"),
    "both": (ValueError, {"input_ids": IDS, "inputs_embeds": torch.zeros(B, T, 14)}, "either input_ids", "both"),
    "vectors of another size": (ValueError, {"inputs_embeds": torch.zeros(B, T, 13)}, "(5, 11, 13)", "(B, T, 14) fits"),
    "vectors without a batch": (ValueError, {"inputs_embeds": torch.zeros(T, 14)}, "(11, 14)", "(B, T, 14) fits"),
    "vectors of whole numbers": (
        TypeError, {"inputs_embeds": torch.zeros(B, T, 14, dtype=torch.long)}, "inputs_embeds holds torch.int64"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_that_names_the_argument_and_what_fits(one_model: BertModel, case: str) -> None:
    kind, arguments, *words = BAD[case]
    with pytest.raises(kind) as caught:
        one_model(**arguments)
    message = str(caught.value)
    assert caught.traceback[-1].path.name == "inputs.py", "raised before torch's own"
    assert all(word in message for word in words), message
    assert "\n" not in message and message.endswith(".") and len(message) < 220


def test_an_unknown_activation_is_refused_with_those_that_are_known() -> None:
    for name in ("geluu", None, ["gelu"]):
        with pytest.raises(ValueError, match=r"^hidden_act is .*; known activations are gelu, gelu_new, .*tanh\.$"):
            BertModel(BertConfig.from_dict(SIZES, hidden_act=name))


def test_an_empty_batch_gives_an_empty_answer() -> None:
    output = pair()[0](IDS[:0], torch.ones(0, T))
    assert output.last_hidden_state.shape == (0, T, 14) and output.pooler_output.shape == (0, 14)
