import random

import catalogue.silent_more
import catalogue.silent_unseen
import catalogue.silent_working_more  # noqa: F401
import numpy as np
import pytest
import torch
from catalogue.silent import SILENT, Call, Pooled, padded, texts, tiny_bert
from catalogue.silent_working import WORKING
from test_tracing import assert_same, state
from torch import nn
from torch.nn import functional as F

from course_lib.shapes.silent import KINDS, Finding, Findings, preflight
from course_lib.shapes.structure import is_scrambled


def look(call: Call) -> Findings:
    return preflight(call.model, *call.args, **call.kwargs)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(1)


@pytest.mark.parametrize("bug", SILENT, ids=lambda b: b.name)
def test_each_silent_bug_is_found_and_named_and_mended_is_silent(bug) -> None:
    found = look(bug.broken())
    assert [f.kind for f in found] == [bug.kind], str(found)  # found, and not reported a second time as something else
    if bug.module is not None:
        assert found[0].module == bug.module
    assert any(c.isdigit() for c in found[0].message) and found[0].evidence  # numbers, not opinions
    assert look(bug.mended()) == []


@pytest.mark.parametrize("name", WORKING)
def test_a_working_model_gives_no_finding(name: str) -> None:
    found = look(WORKING[name]())
    assert found == [], str(found)


def test_the_catalogue_has_the_size_that_was_promised() -> None:
    assert len(SILENT) >= 15 and len({bug.name for bug in SILENT}) == len(SILENT)
    assert len(WORKING) >= 30
    assert {bug.kind for bug in SILENT} <= set(KINDS)


@pytest.mark.parametrize(
    ("old", "new", "torn"),
    [
        ((5, 11, 24), (5, 24, 11), True),
        ((5, 11, 24), (5, 11, 4, 6), False),
        ((5, 11, 24), (5, 4, 11, 6), True),
        ((5, 4, 11, 6), (5, 11, 24), True),
        ((5, 11, 24), (55, 24), False),
        ((55, 24), (5, 11, 24), False),
        ((5, 32, 4, 4), (5, 16, 32), True),  # channels and pixels, sizes that divide each other
        ((5, 16, 4, 4), (5, 256), False),
        ((5, 1, 11, 24), (5, 11, 24), False),
        ((11, 5, 24), (11, 20, 6), False),  # torch's own way into heads, tokens first
        ((5, 11, 2, 6), (5, 22, 6), False),
        ((2, 5, 6), (5, 12), True),
        ((7, 5, 11, 3), (5, 7, 11, 3), True),
        ((5, 3, 16, 16), (5, 3, 4, 4, 4, 4), False),
    ],
)
def test_a_view_that_tears_is_told_from_one_that_splits_or_joins(old: tuple, new: tuple, torn: bool) -> None:
    assert is_scrambled(old, new) is torn


@pytest.mark.parametrize("kind", ["working", "broken"])
def test_the_model_is_left_untouched(kind: str) -> None:
    class Restless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(101, 12, max_norm=0.5)
            self.norm, self.out = nn.BatchNorm1d(12), nn.Linear(12, 3)
            self.calls, self.cache = 0, []

        def forward(self, ids: torch.Tensor, labels: torch.Tensor) -> dict:
            self.calls += 1
            x = self.words(ids).mean(1)
            self.cache.append(x)
            x = x + 0.1 * torch.rand_like(x) * random.random() if self.training else x
            scores = self.out(self.norm(x))
            if kind == "broken":
                scores = nn.Linear(3, 3)(scores).softmax(0)
            return {"loss": F.cross_entropy(scores, labels), "logits": scores}

    model = Restless().train()
    model.norm.eval()
    ids, labels = texts(), torch.tensor([0, 1, 2, 0])
    model(ids, labels)["loss"].backward()
    model.cache.clear()
    handle = model.out.register_forward_hook(lambda *_: None)
    kept = ids.clone()
    before, calls = state(model), model.calls
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    expected = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    found = preflight(model, ids, labels=labels)
    assert (torch.rand(1), random.random(), np.random.rand()) == expected
    assert bool(found) is (kind == "broken")
    assert_same(before, state(model))
    assert model.calls == calls and model.cache == [] and torch.equal(ids, kept)
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    handle.remove()
    assert not torch.nn.modules.module._global_forward_hooks and not torch.nn.modules.module._global_forward_pre_hooks


def test_a_model_in_evaluation_or_training_mode_gets_the_same_verdict() -> None:
    for train in (True, False):
        assert preflight(Pooled("masked mean").train(train), *padded()) == []
        assert [f.kind for f in preflight(Pooled("mean").train(train), *padded())] == ["padding"]


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8])
def test_the_size_of_the_users_batch_does_not_matter(rows: int) -> None:
    ids, mask = padded(rows, 12)
    assert [f.kind for f in preflight(Pooled("mean"), ids, mask)] == ["padding"]
    assert preflight(Pooled("masked mean"), ids, mask) == []
    lstm = nn.Sequential(nn.Embedding(101, 6), nn.LSTM(6, 5))
    model = nn.Sequential(lstm, First(), Last(), nn.Linear(5, 2))
    assert [f.kind for f in preflight(model, texts(rows, 12))] == ["batch_first"]


class First(nn.Module):
    def forward(self, pair: tuple) -> torch.Tensor:
        return pair[0]


class Last(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1]


def test_a_mask_without_any_padding_in_the_example_is_tested_with_padding_all_the_same() -> None:
    ids = texts()
    assert [f.kind for f in preflight(Pooled("mean"), ids, torch.ones_like(ids))] == ["padding"]
    assert preflight(Pooled("masked mean"), ids, torch.ones_like(ids)) == []


def test_a_model_that_raises_gives_one_finding_that_says_so() -> None:
    found = preflight(nn.Linear(3, 2), torch.randn(4, 5))
    assert [f.kind for f in found] == ["raises"] and "mat1 and mat2" in found[0].message


def test_a_hard_wired_batch_size_is_found() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(x.view(4, 6))

    found = preflight(Fixed(), torch.randn(4, 3, 2))
    assert [f.kind for f in found] == ["batch_of_one"] and "with no other" in found[0].message


def test_sizes_that_divide_each_other_do_not_hide_a_torn_view() -> None:
    class Torn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(8, 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x.view(x.shape[0], 8, x.shape[1]))

    assert [f.kind for f in preflight(Torn(), torch.randn(4, 16, 8))] == ["view_for_permute"]
    assert [f.kind for f in preflight(Torn(), torch.randn(4, 8, 8))] == ["view_for_permute"]  # even a square


def test_weights_that_are_cut_off_are_told_from_weights_that_nobody_reads() -> None:
    said = {bug.name: look(bug.broken())[0].message for bug in SILENT if bug.kind == "no_gradient"}
    assert "change the answer but get no gradient: detach" in said["detached_in_the_middle"]
    assert "as under no_grad" in said["bert_under_no_grad"]
    assert "what comes back is not used" in said["result_thrown_away"]
    assert "forward never uses them" in said["layer_never_called"]
    assert "exactly 0 everywhere" in said["only_the_backward_half_of_an_lstm"]


def test_padding_on_the_left_is_read_from_the_example() -> None:
    ids, mask = padded()
    found = preflight(tiny_bert(), ids.flip(1), attention_mask=mask.flip(1))
    assert found == []


def test_an_experiment_that_the_model_does_not_stand_is_said_and_stops_nothing() -> None:
    class Torn(nn.Module):
        """Its backward pass raises, because what sigmoid kept for it is changed in place."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.out = nn.Linear(5, 6), nn.Linear(6, 1)

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict:
            hidden = self.body(x).sigmoid()
            scores = self.out(hidden)
            hidden += 1
            return {"loss": ((scores - labels) ** 2).mean(), "logits": scores}

    found = preflight(Torn(), torch.randn(4, 5), labels=torch.randn(4))
    assert [f.kind for f in found] == ["broadcast"]
    assert len(found.skipped) == 1 and found.skipped[0].startswith("gradients (RuntimeError: one of the variables")
    assert str(found).endswith(f"Not tried: {found.skipped[0]}") and "<p>Not tried: gradients" in found._repr_html_()


def test_a_size_that_another_hides_is_found_with_the_line_that_fails() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(5, 1)

        def forward(self, x: torch.Tensor, target: torch.Tensor) -> dict:
            return {"loss": ((self.out(x) - target) ** 2).mean(), "logits": self.out(x)}  # (B, T, 1) - (B, T)

    found = preflight(Steps(), torch.randn(8, 8, 5), torch.randn(8, 8))
    assert [(f.kind, f.module) for f in found] == [("equal_sizes", "")] and "self.out(x) - target" in found[0].message


def test_a_layer_that_is_not_given_the_mask_is_told_from_one_that_gets_a_wrong_one() -> None:
    said = {bug.name: look(bug.broken())[0].message for bug in SILENT if bug.kind in ("mask_ignored", "mask_kind")}
    assert "used elsewhere, but cross is not given it" in said["queries_that_read_the_padding_of_an_encoder"]
    assert "Pass the mask on to bert" in said["mask_not_passed_on"]
    assert "Check what this attention takes" in said["float_mask_in_4_d_eager"]


def test_findings_show_themselves_in_text_and_on_a_page() -> None:
    found = Findings([Finding("padding", "", "a <b>", {"x": 1}), Finding("nan", None, "c")])
    assert str(found) == "1. padding in the model itself: a <b>\n2. nan: c" and "a &lt;b&gt;" in found._repr_html_()
    assert str(Findings()) == "preflight: nothing found." and isinstance(found, list)


def test_what_is_no_module_is_refused_in_one_sentence() -> None:
    with pytest.raises(TypeError, match="was given a function; it takes a torch module"):
        preflight(lambda x: x, torch.randn(2))
    with pytest.raises(ValueError, match="a batch of 0 examples"):
        preflight(nn.Linear(4, 3), torch.zeros(0, 4))
