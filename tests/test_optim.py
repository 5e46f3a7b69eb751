import copy
import math
import re
import warnings

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib import optim
from course_lib.config import BertConfig
from course_lib.heads import BertForMaskedLM, BertForSequenceClassification
from course_lib.optim import (
    adamw,
    describe_groups,
    find_stack,
    freeze,
    frozen_to_eval,
    parameter_groups,
    rates,
    schedule,
)

H, L, V, K = 12, 3, 31, 5
SIZES = {
    "vocab_size": V,
    "hidden_size": H,
    "num_hidden_layers": L,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "max_position_embeddings": 11,
}


def bert(cls: type = BertForSequenceClassification, **more: int) -> nn.Module:
    return cls(BertConfig(**SIZES, **more))


def names(group: dict, model: nn.Module) -> set[str]:
    ids = {id(p) for p in group["params"]}
    return {name for name, p in model.named_parameters() if id(p) in ids}


def by_name(groups: list[dict]) -> dict[str, dict]:
    assert len({group["name"] for group in groups}) == len(groups)
    return {group["name"]: group for group in groups}


class Scale(nn.Module):
    """A norm written by hand: no class of torch, no name that tells."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix, self.norm1 = nn.Linear(H, H), nn.LayerNorm(H)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm1(x + self.mix(x))


class Plain(nn.Module):
    """A stranger's model: other names, a list of layers, a head."""

    def __init__(self, layers: int = L) -> None:
        super().__init__()
        self.table = nn.Embedding(V, H)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.out = nn.Linear(H, K)


# ------------------------------------------------------------------------------------------- which parameters decay


def test_matrices_and_embeddings_of_bert_decay_and_nothing_else() -> None:
    model = bert()
    groups = by_name(parameter_groups(model, weight_decay=0.03, learning_rate=5e-5))
    assert set(groups) == {"decayed", "not decayed"}
    assert {g["lr"] for g in groups.values()} == {5e-5}
    assert groups["decayed"]["weight_decay"] == 0.03 and groups["not decayed"]["weight_decay"] == 0
    kept = names(groups["not decayed"], model)
    assert kept == {n for n, _ in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n}
    assert "bert.embeddings.word_embeddings.weight" in names(groups["decayed"], model)


@pytest.mark.parametrize(
    "norm",
    [
        nn.LayerNorm((7, H)),  # a scale of two dimensions
        nn.RMSNorm(H),
        nn.GroupNorm(3, H),
        nn.BatchNorm1d(H),
        nn.BatchNorm2d(H),
        nn.SyncBatchNorm(H),
        nn.InstanceNorm1d(H, affine=True),
        Scale(H),
        Scale(1, 1, H),
        Scale(1, H, 1, 1),
        Scale(),
    ],
    ids=lambda norm: f"{type(norm).__name__}-{tuple(next(norm.parameters()).shape)}",
)
def test_no_normalisation_layer_decays(norm: nn.Module) -> None:
    groups = by_name(parameter_groups(nn.Sequential(nn.Linear(H, 2, bias=False), norm)))
    assert len(groups["decayed"]["params"]) == 1
    assert len(groups["not decayed"]["params"]) == len(list(norm.parameters()))


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(H, 1, bias=False), nn.Conv1d(3, 5, 2, bias=False), nn.Embedding(V, H), nn.LSTM(H, 5, bias=False)],
    ids=lambda layer: type(layer).__name__,
)
def test_matrices_decay_also_those_with_one_row(layer: nn.Module) -> None:
    (group,) = parameter_groups(layer)
    assert group["name"] == "decayed" and len(group["params"]) == len(list(layer.parameters()))


def test_a_tied_parameter_is_in_one_group_once() -> None:
    model = bert(BertForMaskedLM)
    groups = parameter_groups(model, layer_decay=0.9)
    ids = [id(p) for g in groups for p in g["params"]]
    assert len(ids) == len(set(ids)) == len(list(model.parameters()))
    table = model.cls.predictions.decoder.weight
    assert [g["name"] for g in groups if any(p is table for p in g["params"])] == ["decayed, before the layers"]


def test_frozen_parameters_are_left_out_and_a_wholly_frozen_model_is_refused() -> None:
    model = Plain()
    model.table.requires_grad_(False)
    assert all(p is not model.table.weight for g in parameter_groups(model) for p in g["params"])
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        parameter_groups(model)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"layer_decay": 0.0}, "layer_decay is 0.0"),
        ({"layer_decay": 1.2}, "layer_decay is 1.2"),
        ({"head_learning_rate": -1.0}, "head_learning_rate is -1.0"),
    ],
)
def test_numbers_out_of_range_are_named(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parameter_groups(Plain(), **options)


# --------------------------------------------------------------------------------------------------- groups by name


def test_the_recipe_by_names_agrees_with_ours_on_bert() -> None:
    model = bert()
    ours, recipe = by_name(parameter_groups(model)), by_name(optim.groups_by_name(model))
    assert {k: names(g, model) for k, g in ours.items()} == {k: names(g, model) for k, g in recipe.items()}
    assert recipe["decayed"]["weight_decay"] == 0.01 and recipe["not decayed"]["weight_decay"] == 0


def test_the_recipe_by_names_lets_scales_decay_under_another_name_and_the_table_shows_it() -> None:
    model = Plain()
    shown = {(row[0], row[3]): row[4:] for row in describe_groups(optim.groups_by_name(model), model).rows}
    assert shown["decayed", "LayerNorm.weight"] == (L, L * H, "blocks.0.norm1.weight")
    ours = {(row[0], row[3]): row[4:] for row in describe_groups(parameter_groups(model), model).rows}
    assert ours["not decayed", "LayerNorm.weight"] == (L, L * H, "blocks.0.norm1.weight")
    assert ("decayed", "LayerNorm.weight") not in ours


@pytest.mark.parametrize(
    ("config", "cls", "tensors"),
    [
        (
            transformers.DistilBertConfig(n_layers=2, dim=12, n_heads=2, hidden_dim=17, vocab_size=V),
            "DistilBertModel",
            4,
        ),
        (transformers.GPT2Config(n_layer=2, n_embd=12, n_head=2, vocab_size=V), "GPT2Model", 5),
    ],
    ids=["DistilBERT", "GPT-2"],
)
def test_the_recipe_by_names_fails_silently_on_released_families(config: object, cls: str, tensors: int) -> None:
    model = getattr(transformers, cls)(config)
    rows = describe_groups(optim.groups_by_name(model), model).rows
    assert [row[4] for row in rows if row[:1] + row[3:4] == ("decayed", "LayerNorm.weight")] == [tensors]
    assert not any(
        row[0] == "decayed" and "LayerNorm" in row[3] for row in describe_groups(parameter_groups(model), model).rows
    )


def test_the_recipe_by_names_takes_a_table_called_bias_for_a_bias() -> None:
    model = nn.ModuleDict({"relative_attention_bias": nn.Embedding(7, 3), "out": nn.Linear(3, 2)})
    rows = describe_groups(optim.groups_by_name(model), model).rows
    assert ("not decayed", "Embedding.weight") in {(row[0], row[3]) for row in rows}


def test_the_table_lists_what_is_in_no_group_and_counts_every_number_once() -> None:
    model = bert(BertForMaskedLM)
    groups = [g for g in parameter_groups(model, learning_rate=3e-5) if g["name"] == "decayed"]
    rows = describe_groups(groups, model).rows
    assert sum(row[5] for row in rows) == sum(p.numel() for p in model.parameters())
    assert rows[0][:3] == ("decayed", 0.01, 3e-5)
    assert rows[-1][:3] == ("in no group", "", "")
    assert "word_embeddings" in str(describe_groups(groups, model))


# ------------------------------------------------------------------------------------------------ depth, by structure


@pytest.mark.parametrize(
    "make", [lambda: bert(), lambda: transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES))]
)
def test_each_layer_learns_more_slowly_than_the_one_above(make) -> None:
    model = make()
    groups = by_name(parameter_groups(model, learning_rate=1e-3, layer_decay=0.5))
    place = {n: g["lr"] for g in groups.values() for n in names(g, model)}
    assert place["classifier.bias"] == place["bert.pooler.dense.weight"] == 1e-3
    for layer in range(L):
        expected = 1e-3 * 0.5 ** (L - layer)
        rate = {v for n, v in place.items() if n.startswith(f"bert.encoder.layer.{layer}.")}
        assert rate == {expected}
    assert place["bert.embeddings.word_embeddings.weight"] == pytest.approx(1e-3 * 0.5 ** (L + 1))
    assert place["bert.embeddings.LayerNorm.bias"] == place["bert.embeddings.word_embeddings.weight"]
    decay = {n: g["weight_decay"] for g in groups.values() for n in names(g, model)}
    assert decay["bert.encoder.layer.1.output.dense.weight"] == 0.01 and decay["classifier.bias"] == 0
    assert "decayed, layer 2" in groups and "not decayed, head" in groups


def test_a_layer_decay_of_one_changes_no_rate() -> None:
    assert {g["lr"] for g in parameter_groups(bert(), learning_rate=1e-4, layer_decay=1.0)} == {1e-4}


@pytest.mark.parametrize("layer_decay", [None, 0.5])
def test_the_head_may_have_a_rate_of_its_own(layer_decay: float | None) -> None:
    model = Plain()
    groups = parameter_groups(model, learning_rate=1e-4, head_learning_rate=1e-2, layer_decay=layer_decay)
    place = {n: g["lr"] for g in groups for n in names(g, model)}
    assert {n for n, rate in place.items() if rate == 1e-2} == {"out.weight", "out.bias"}
    assert place["blocks.2.mix.weight"] == (1e-4 if layer_decay is None else 0.5e-4)


@settings(deadline=None, max_examples=20)
@given(layers=st.integers(1, 7), decay=st.floats(0.1, 1.0), rate=st.floats(1e-6, 1e-1))
def test_every_depth_has_the_rate_of_the_formula_and_every_parameter_one_group(layers, decay, rate) -> None:
    model = Plain(layers)
    groups = parameter_groups(model, learning_rate=rate, layer_decay=decay)
    assert sorted(id(p) for g in groups for p in g["params"]) == sorted(map(id, model.parameters()))
    found = {n: g["lr"] for g in groups for n in names(g, model)}
    for depth, name in enumerate(["table.weight", *(f"blocks.{i}.mix.bias" for i in range(layers)), "out.bias"]):
        assert found[name] == pytest.approx(rate * decay ** (layers + 1 - depth))


def test_small_lists_inside_layers_and_lists_without_weights_are_no_stack() -> None:
    model = Plain(2)
    for block in model.blocks:
        block.heads = nn.ModuleList(nn.Linear(H, 2) for _ in range(7))
    model.dropouts = nn.ModuleList(nn.Dropout() for _ in range(11))
    model.tables = nn.ModuleList(nn.Embedding(100 * V, H) for _ in range(2))
    model.filters = nn.ModuleList(nn.Conv1d(3, 2, size) for size in (2, 3, 4))  # longer than the stack, and smaller
    stack = find_stack(model)
    assert stack.name == "blocks" and stack.layers == tuple(model.blocks)


def test_a_model_that_is_its_own_list_of_layers_has_a_stack_and_no_head() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    assert find_stack(model).name == ""
    assert {g["name"] for g in parameter_groups(model, layer_decay=0.5)} == {
        f"{kind}, layer {n}" for kind in ("decayed", "not decayed") for n in (1, 2)
    }


def test_a_shared_layer_is_a_stack_of_one() -> None:
    config = transformers.AlbertConfig(
        vocab_size=V, embedding_size=6, hidden_size=H, num_attention_heads=2, intermediate_size=17, num_hidden_layers=5
    )
    assert len(find_stack(transformers.AlbertForSequenceClassification(config)).layers) == 1


def test_a_model_without_a_stack_says_so_only_where_depth_matters() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.ModuleList(nn.Dropout() for _ in range(3)))
    assert len(parameter_groups(model)) == 2
    for ask in (lambda: parameter_groups(model, layer_decay=0.9), lambda: freeze(model)):
        with pytest.raises(ValueError, match="Sequential has no ModuleList or Sequential of layers of one class"):
            ask()


# ------------------------------------------------------------------------------------------------------------ freezing


def learning(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_only_the_head_learns_or_the_last_layers_beside_it_or_all() -> None:
    model = bert()
    total = sum(p.numel() for p in model.parameters())
    head = H * H + H + 2 * H + 2
    assert freeze(model) == optim.Frozen(head, total - head)
    assert learning(model) == {n for n, _ in model.named_parameters() if n.startswith(("bert.pooler", "classifier"))}
    layer = sum(p.numel() for p in model.bert.encoder.layer[0].parameters())
    assert freeze(model, layers=2) == optim.Frozen(head + 2 * layer, total - head - 2 * layer)
    assert "bert.encoder.layer.1.output.dense.bias" in learning(model)
    assert not any(n.startswith(("bert.encoder.layer.0", "bert.embeddings")) for n in learning(model))
    assert freeze(model, layers=L).frozen == sum(p.numel() for p in model.bert.embeddings.parameters())
    assert freeze(model, keep="all") == optim.Frozen(total, 0)


def test_a_step_changes_what_learns_and_nothing_else() -> None:
    model = bert()
    freeze(model, layers=1)
    before = copy.deepcopy(model.state_dict())
    optimizer = adamw(model, learning_rate=0.1)
    model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([1])).loss.backward()
    optimizer.step()
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed <= learning(model)
    assert {"classifier.weight", "bert.encoder.layer.2.output.dense.weight"} <= changed


def test_a_decoder_tied_to_the_frozen_word_table_stays_frozen() -> None:
    model = bert(BertForMaskedLM)
    freeze(model)
    assert not model.cls.predictions.decoder.weight.requires_grad
    assert model.cls.predictions.bias.requires_grad


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": "heads"}, "keep is 'heads'"),
        ({"keep": "all", "layers": 2}, 'keep is "all" and layers is 2'),
        ({"layers": L + 1}, f"layers is {L + 1}; this model has {L}"),
        ({"layers": -1}, "layers is -1"),
        ({"layers": True}, "layers is True"),
    ],
)
def test_a_wish_that_cannot_be_met_is_named_and_changes_nothing(options: dict, said: str) -> None:
    model = bert()
    with pytest.raises(ValueError, match=re.escape(said)):
        freeze(model, **options)
    assert len(learning(model)) == len(list(model.parameters()))


def test_a_model_that_ends_with_its_layers_has_no_head_to_keep() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    with pytest.raises(ValueError, match="nothing after its 2 layers"):
        freeze(model)
    assert freeze(model, layers=1) == optim.Frozen(12, 12)


def test_frozen_parts_can_be_put_into_evaluation_mode_and_the_head_stays_in_training_mode() -> None:
    model = bert()
    freeze(model, layers=1)
    model.train()
    assert model.bert.embeddings.dropout.training  # freezing alone leaves dropout on
    assert frozen_to_eval(model) == ["bert.embeddings", "bert.encoder.layer.0", "bert.encoder.layer.1"]
    assert not model.bert.embeddings.dropout.training
    assert not model.bert.encoder.layer[1].attention.self.dropout.training
    assert model.bert.encoder.layer[2].attention.self.dropout.training and model.dropout.training


def test_running_statistics_of_a_frozen_batch_norm_move_until_it_is_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 2))
    model[0].requires_grad_(False)
    model.train()
    model(torch.randn(7, 5) + 3)
    moved = model[0].running_mean.clone()
    assert moved.abs().min() > 0.1
    assert frozen_to_eval(model) == ["0"]
    model(torch.randn(7, 5) + 3)
    assert torch.equal(model[0].running_mean, moved)


def test_a_wholly_frozen_model_is_in_evaluation_mode_throughout() -> None:
    model = bert().train().requires_grad_(False)
    assert frozen_to_eval(model) == [""]
    assert not any(part.training for part in model.modules())


# ------------------------------------------------------------------------------------------------------- the optimizer


def test_adamw_of_a_model_has_its_groups_and_is_fused_on_a_cpu() -> None:
    optimizer = adamw(Plain(), learning_rate=3e-4, weight_decay=0.2)
    assert type(optimizer) is torch.optim.AdamW
    assert [(g["name"], g["lr"], g["weight_decay"], g["fused"]) for g in optimizer.param_groups] == [
        ("decayed", 3e-4, 0.2, True),
        ("not decayed", 3e-4, 0.0, True),
    ]


def test_the_fused_step_is_the_plain_one() -> None:
    torch.manual_seed(0)
    models = [Plain()]
    models.append(copy.deepcopy(models[0]))
    for model, fused in zip(models, (True, False), strict=True):
        optimizer = adamw(model, learning_rate=0.01, fused=fused)
        for _ in range(3):
            optimizer.zero_grad()
            model.out(model.blocks[0](model.table(torch.arange(7)))).pow(2).sum().backward()
            optimizer.step()
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_it_is_not_fused_where_a_parameter_is_on_a_device_without_the_kernel() -> None:
    assert adamw(Plain().to("meta")).param_groups[0]["fused"] is False


def test_numbers_given_beside_groups_fill_what_the_groups_leave_open() -> None:
    optimizer = adamw(optim.groups_by_name(Plain()), learning_rate=7e-5)
    assert [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups] == [(7e-5, 0.01), (7e-5, 0.0)]
    (bare,) = adamw([{"params": Plain().parameters()}]).param_groups
    assert (bare["lr"], bare["weight_decay"]) == (2e-5, 0.01)


def test_a_number_that_every_group_overrules_is_refused() -> None:
    groups = parameter_groups(Plain(), learning_rate=1e-4)
    with pytest.raises(ValueError, match=r"learning_rate is 0\.001, but every group has its own lr"):
        adamw(groups, learning_rate=1e-3)
    with pytest.raises(ValueError, match=r"weight_decay is 0\.5, but every group has its own weight_decay"):
        adamw(groups, weight_decay=0.5)


@pytest.mark.parametrize("what", [[], [torch.ones(2, requires_grad=True)], [{"lr": 0.1}]])
def test_what_is_neither_a_model_nor_groups_is_refused(what: list) -> None:
    with pytest.raises(TypeError, match="adamw takes a model, or groups"):
        adamw(what)


@pytest.mark.parametrize(
    ("options", "said"), [({"learning_rate": 0.0}, "learning_rate"), ({"weight_decay": -1.0}, "weight")]
)
def test_numbers_out_of_range_are_named_for_bare_groups_too(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        adamw([{"params": [torch.ones(2, requires_grad=True)]}], **options)


def test_the_callers_groups_stay_as_they_were() -> None:
    groups = parameter_groups(Plain())
    adamw(groups)
    assert all(set(g) == {"name", "params", "lr", "weight_decay"} for g in groups)


# ------------------------------------------------------------------------------------------------------------ schedules

STEPS, RATE = 97, 2e-5


def test_the_six_are_the_first_six_of_transformers_in_its_order() -> None:
    from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION

    assert [kind.value for kind in TYPE_TO_SCHEDULER_FUNCTION][: len(optim.SCHEDULES)] == list(optim.SCHEDULES)


@pytest.mark.parametrize("warmup", [0, 13, 0.1])
def test_polynomial_at_its_default_is_linear_down_to_1e_7(warmup: int | float) -> None:
    linear, power = (rates(name, warmup, STEPS, RATE) for name in ("linear", "polynomial"))
    gaps = [b - a for a, b in zip(linear, power, strict=True)]
    assert min(gaps) >= -1e-15 and 0 < max(gaps) <= 1e-7
    assert rates("polynomial", warmup, STEPS, RATE, lr_end=0.0) == pytest.approx(linear)


def test_polynomial_is_a_power_of_the_share_that_is_left() -> None:
    found = rates("polynomial", 0, 100, 1.0, power=3.0, lr_end=0.0)
    assert found == pytest.approx([(1 - step / 100) ** 3 for step in range(100)])


@pytest.mark.parametrize("warmup", [0, 13, 0.1])
def test_cosine_with_restarts_at_its_default_is_cosine(warmup: int | float) -> None:
    assert rates("cosine_with_restarts", warmup, STEPS, RATE) == pytest.approx(rates("cosine", warmup, STEPS, RATE))
    assert rates("cosine_with_restarts", warmup, STEPS, RATE, num_cycles=3) != pytest.approx(
        rates("cosine", warmup, STEPS, RATE)
    )


def test_constant_has_no_warm_up_and_constant_with_warmup_is_constant_after_it() -> None:
    assert rates("constant", 13, STEPS, RATE) == [RATE] * STEPS
    found = rates("constant_with_warmup", 13, STEPS, RATE)
    assert found[13:] == [RATE] * (STEPS - 13)
    assert found[:13] == pytest.approx([RATE * step / 13 for step in range(13)])


def test_linear_rises_from_nothing_and_falls_to_nothing_right_after_the_last_step() -> None:
    found = rates("linear", 13, STEPS, RATE)
    assert len(found) == STEPS and found[0] == 0 and found[13] == max(found) == RATE
    assert found[-1] == pytest.approx(RATE / (STEPS - 13))


def test_cosine_passes_half_of_the_rate_half_way_down() -> None:
    assert rates("cosine", 0, 100, RATE)[50] == pytest.approx(RATE / 2)
    assert rates("cosine", 0, 100, RATE, num_cycles=1.0)[50] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", optim.SCHEDULES)
def test_the_optimizer_has_at_each_step_the_rates_of_the_picture_each_group_its_own(name: str) -> None:
    optimizer = adamw(parameter_groups(Plain(), learning_rate=0.1, layer_decay=0.5))
    highest = [group["lr"] for group in optimizer.param_groups]
    way = schedule(name, optimizer, warmup=0.2, steps=11)
    for rate in rates(name, 0.2, 11, 0.1):
        assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([rate * h / 0.1 for h in highest])
        optimizer.step()
        way.step()


@settings(deadline=None, max_examples=40)
@given(name=st.sampled_from(list(optim.SCHEDULES)), steps=st.integers(1, 200), share=st.floats(0, 1, exclude_max=True))
def test_no_rate_is_negative_or_above_the_full_one_which_is_reached(name: str, steps: int, share: float) -> None:
    found = rates(name, share, steps, 1.0)
    assert min(found) >= 0 and max(found) == pytest.approx(1.0)


@pytest.mark.parametrize("name", optim.SCHEDULES)
def test_the_longest_warm_up_runs_to_its_end_and_one_step_beyond(name: str) -> None:
    optimizer = adamw(Plain())
    way = schedule(name, optimizer, warmup=4, steps=5)
    for _ in range(6):
        optimizer.step()
        way.step()


@pytest.mark.parametrize(
    ("warmup", "steps", "expected"), [(0.1, 97, 10), (0.0, 97, 0), (0.5, 1, 0), (0.99, 7, 6), (6, 7, 6), (0, 1, 0)]
)
def test_a_share_is_rounded_up_and_always_leaves_a_step(warmup: int | float, steps: int, expected: int) -> None:
    assert optim.warmup_steps(warmup, steps) == expected


def test_a_share_is_that_of_transformers_trainer(tmp_path) -> None:
    for share, steps in ((0.1, 97), (0.06, 1234), (0.25, 8)):
        trainer = transformers.TrainingArguments(output_dir=str(tmp_path), warmup_steps=share)
        assert optim.warmup_steps(share, steps) == trainer.get_warmup_steps(steps)


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (("linear", 1000, 97), ValueError, "warmup is 1000 steps and the run has 97"),
        (("linear", 97, 97), ValueError, "the full rate would never be reached"),
        (("linear", 1000.0, 97), ValueError, "for steps write 1000"),
        (("linear", 1.0, 97), ValueError, "warmup is 1.0; a fraction is a share"),
        (("linear", -0.1, 97), ValueError, "warmup is -0.1"),
        (("linear", math.inf, 97), ValueError, "warmup is inf"),
        (("linear", -3, 97), ValueError, "warmup is -3; it cannot be negative"),
        (("linear", "10%", 97), TypeError, "warmup is '10%'"),
        (("linear", True, 97), TypeError, "warmup is True"),
        (("linear", 0, 0), ValueError, "steps is 0"),
        (("linear", 0, 9.5), TypeError, "steps is 9.5"),
        (("exponential", 0, 97), ValueError, "There is no schedule 'exponential' here; there are linear, cosine"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_in_one_sentence(arguments: tuple, kind: type, said: str) -> None:
    with pytest.raises(kind, match=re.escape(said)) as caught:
        rates(*arguments, RATE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "option"), [("constant_with_warmup", "power"), ("linear", "num_cycles"), ("constant", "lr_end")]
)
def test_an_option_of_another_schedule_is_not_dropped_without_a_word(name: str, option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is no option of the schedule {name}; its options: none"):
        rates(name, 0, STEPS, RATE, **{option: 1})


# ----------------------------------------------------------------------------------- two ways to decay, by hand

LR, DECAY = 0.1, 0.5


def problem(seed: int = 0, steps: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight, and gradients of very different sizes."""
    draw = torch.Generator().manual_seed(seed)
    size = torch.tensor([1e-3, 1.0, 1e3], dtype=torch.double)
    return torch.randn(3, generator=draw, dtype=torch.double), torch.randn(
        steps, 3, generator=draw, dtype=torch.double
    ) * size


def by_torch(cls: type, seed: int = 0, **options: float) -> torch.Tensor:
    weight, gradients = problem(seed)
    parameter = nn.Parameter(weight.clone())
    optimizer = cls([parameter], lr=LR, weight_decay=DECAY, **options)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def by_hand(step, seed: int = 0) -> torch.Tensor:
    weight, gradients = problem(seed)
    moments = optim.Moments.of(weight)
    extra = () if step in (optim.sgd_with_l2, optim.sgd_decoupled) else (moments,)
    for gradient in gradients:
        weight = step(weight, gradient, *extra, LR, DECAY)
    return weight


@pytest.mark.parametrize(
    ("step", "cls"),
    [
        (optim.sgd_with_l2, torch.optim.SGD),
        (optim.sgd_decoupled, torch.optim.SGD),  # with SGD the two are one
        (optim.adam_with_l2, torch.optim.Adam),
        (optim.adam_decoupled, torch.optim.AdamW),
    ],
)
def test_the_steps_by_hand_are_those_of_torch(step, cls: type) -> None:
    for seed in range(3):
        torch.testing.assert_close(by_hand(step, seed), by_torch(cls, seed), rtol=1e-10, atol=1e-12)


def test_with_sgd_the_two_decays_agree_and_with_adam_they_do_not() -> None:
    torch.testing.assert_close(by_hand(optim.sgd_with_l2), by_hand(optim.sgd_decoupled))
    assert (by_hand(optim.adam_with_l2) - by_hand(optim.adam_decoupled)).abs().max() > 0.01


def test_first_steps_by_the_paper() -> None:
    weight, gradient = torch.tensor([2.0]), torch.tensor([4.0])
    assert optim.sgd_with_l2(weight, gradient, LR, DECAY).item() == pytest.approx(2 - 0.1 * (4 + 0.5 * 2))
    assert optim.sgd_decoupled(weight, gradient, LR, DECAY).item() == pytest.approx(0.95 * 2 - 0.1 * 4)
    # Adam's first step is the rate, whatever the gradient's size: the penalty is lost in it, the decoupled decay is not.
    assert optim.adam_with_l2(weight, gradient, optim.Moments.of(weight), LR, DECAY).item() == pytest.approx(2 - 0.1)
    assert optim.adam_decoupled(weight, gradient, optim.Moments.of(weight), LR, DECAY).item() == pytest.approx(
        1.9 - 0.1
    )


def test_no_penalty_makes_adam_with_l2_shrink_all_weights_alike() -> None:
    weight, gradients = torch.ones(2, dtype=torch.double), torch.tensor([[0.1, 10.0], [-0.1, -10.0]] * 50).double()

    def after(step, decay: float) -> torch.Tensor:
        moved, moments = weight, optim.Moments.of(weight)
        for gradient in gradients:
            moved = step(moved, gradient, moments, 0.001, decay)
        return moved

    same = after(optim.adam_decoupled, DECAY) - after(optim.adam_decoupled, 0.0)
    assert same[0] == pytest.approx(same[1].item(), rel=1e-3)
    for decay in (0.001, 0.01, 0.1):
        small, large = (after(optim.adam_with_l2, decay) - after(optim.adam_with_l2, 0.0)).tolist()
        assert small < 10 * large < 0  # the weight with small gradients shrinks far more


def test_the_old_order_of_arguments_still_works_with_a_warning_and_ours_gives_none() -> None:
    was = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # else torch says it once a process
    try:
        with pytest.warns(UserWarning, match="deprecated"):
            old = torch.ones(2).mul_(0.9).add_(1 - 0.9, torch.ones(2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            moments = optim.Moments(torch.ones(2), torch.ones(2))
            optim.adam_decoupled(torch.ones(2), torch.ones(2), moments, LR, DECAY)
    finally:
        torch.set_warn_always(was)
    torch.testing.assert_close(moments.first, old)
