"""What `diagnose` promises beside the diagnosis itself: nothing is disturbed, nothing runs twice, nothing is invented."""

import copy
import functools
import linecache
import re
import subprocess
import sys
import traceback
import warnings

import pytest
import torch
import torch.nn.functional as F
from catalogue.working import MODELS, tiny_bert
from torch import nn

from course_lib import shapes
from course_lib.notebooks import ROOT
from course_lib.shapes import explaining
from course_lib.shapes.diagnosis import Diagnosis


class Block(nn.Module):
    def __init__(self, came: int = 5) -> None:
        super().__init__()
        self.first = nn.Linear(7, came)
        self.second = nn.Linear(6, 3)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        hidden = self.first(x)
        return self.second(hidden)


def levels(error: BaseException) -> list[tuple[str, int, str]]:
    return [(f.filename, f.lineno or 0, f.name) for f in traceback.extract_tb(error.__traceback__)]


@pytest.mark.parametrize("name", MODELS)
def test_a_working_model_is_left_in_peace(name: str) -> None:
    callee, args, kwargs = MODELS[name]()
    assert shapes.diagnose(callee, *args, **kwargs) is None


def test_there_are_enough_working_models() -> None:
    assert len(MODELS) >= 30 and {"bert_eager", "bert_sdpa"} <= set(MODELS)


def test_importing_loads_nothing() -> None:
    code = "import sys, course_lib.shapes; print('torch' in sys.modules, 'IPython' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "False False\n"
    )


def test_the_package_names_what_it_has() -> None:
    assert callable(shapes.diagnose) and {"diagnose", "trace", "preflight"} <= set(dir(shapes))
    with pytest.raises(AttributeError, match="no attribute 'diagnoze'"):
        shapes.diagnoze  # noqa: B018


@pytest.mark.parametrize(
    "run",
    [
        lambda: Block()(torch.randn(2, 7)),
        lambda: F.cross_entropy(torch.randn(5, 3), torch.tensor([1, 2])),
        lambda: torch.randn(2, 3) + torch.randn(2, 4),
        lambda: nn.MultiheadAttention(4, 2)(*[torch.randn(3, 2, 5)] * 3),
        lambda: torch.randn(6).split([1, 2]),
        lambda: tiny_bert("eager")(torch.full((2, 3), 99)),
        lambda: torch.rand(3) - [1],
    ],
)
def test_error_text_and_traceback_are_as_without_it(run) -> None:
    with pytest.raises(Exception) as plain:
        run()
    diagnosis = shapes.diagnose(run)
    assert diagnosis is not None
    assert type(diagnosis.error) is type(plain.value)
    assert str(diagnosis.error) == str(plain.value)
    assert levels(diagnosis.error) == levels(plain.value)[1:]  # without this test's own frame


def test_the_text_of_an_error_is_no_error() -> None:
    with pytest.raises(TypeError, match="was given a str; it takes the exception"):
        shapes.explain_error("mat1 and mat2 shapes cannot be multiplied")


def test_the_very_exception_is_kept() -> None:
    mine = ValueError("mine")

    def fail() -> None:
        raise mine

    diagnosis = shapes.diagnose(fail)
    assert diagnosis is not None and diagnosis.error is mine
    assert not diagnosis.known and diagnosis.fixes == ()
    assert diagnosis.cause == "ValueError: mine"


def test_nothing_runs_twice_and_the_model_is_untouched() -> None:
    model = Block().train()
    model.first.weight.grad = torch.ones_like(model.first.weight)
    before = copy.deepcopy(model.state_dict())
    hooks = []
    model.first.register_forward_hook(lambda *_: hooks.append(1))
    torch.manual_seed(3)
    expected = torch.get_rng_state()
    x = torch.ones(2, 7)
    torch.set_rng_state(expected)
    diagnosis = shapes.diagnose(model, x)
    assert diagnosis is not None and any(fix.verified for fix in diagnosis.fixes)
    assert model.calls == 1 and hooks == [1]
    assert torch.equal(torch.get_rng_state(), expected)
    assert model.training and torch.is_grad_enabled()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(model.first.weight.grad, torch.ones_like(model.first.weight))
    assert model.second.weight.grad is None and model.second.in_features == 6
    assert all(p.device.type == "cpu" and type(p) is nn.Parameter for p in model.parameters())


def test_repairs_that_draw_random_numbers_leave_the_generator() -> None:
    attention, x = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True), torch.ones(2, 3, 4)
    mask = torch.zeros(3, 2, dtype=torch.bool)
    with pytest.raises(Exception) as caught:
        attention(x, x, x, key_padding_mask=mask)
    before = torch.get_rng_state()
    assert any(fix.verified for fix in shapes.explain_error(caught.value).fixes)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("run", "meant", "other"),
    [
        (lambda q: q @ q, "q @ q.transpose(-1, -2)", "q.transpose(-1, -2) @ q"),
        (lambda q: q.matmul(q), "q.matmul(q.transpose(-1, -2))", "q.transpose(-1, -2).matmul(q)"),
        (lambda q: torch.bmm(q, q), "torch.bmm(q, q.transpose(-1, -2))", "torch.bmm(q.transpose(-1, -2), q)"),
    ],
)
def test_each_of_two_operands_of_one_name_is_repaired_in_its_own_place(run, meant: str, other: str) -> None:
    diagnosis = shapes.diagnose(run, torch.ones(4, 7, 5))
    assert diagnosis is not None and [fix.code for fix in diagnosis.fixes] == [meant, other]
    assert all(fix.verified for fix in diagnosis.fixes)


def test_side_effects_in_the_failing_expression_happen_once() -> None:
    seen = []

    def noisy(x: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        return x

    def run() -> torch.Tensor:
        return torch.cat([noisy(torch.ones(2, 3)), noisy(torch.ones(3, 4))])

    diagnosis = shapes.diagnose(run)
    assert len(seen) == 2
    assert diagnosis is not None and [t.shape for t in diagnosis.tensors] == [(2, 3), (3, 4)]


def test_properties_and_getattr_of_the_user_are_not_run() -> None:
    class Odd:
        def __init__(self) -> None:
            self.count = 0

        @property
        def x(self) -> torch.Tensor:
            self.count += 1
            return torch.ones(2, 3)

    odd = Odd()
    diagnosis = shapes.diagnose(lambda: odd.x @ torch.ones(2, 3))
    assert odd.count == 1
    assert diagnosis is not None and diagnosis.operation == "matmul" and (2, 3) in [t.shape for t in diagnosis.tensors]


def test_warnings_of_the_trials_stay_inside() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert shapes.diagnose(lambda: F.mse_loss(torch.ones(3, 2), torch.ones(2, 3, dtype=torch.float64)))


def test_a_failure_of_the_helper_leaves_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "find", lambda *_: 1 / 0)
    diagnosis = shapes.diagnose(Block(), torch.randn(2, 7))
    assert diagnosis is not None and "mat1 and mat2" in diagnosis.cause and not diagnosis.known
    assert "ZeroDivisionError" in diagnosis.notes[0]
    with pytest.raises(RuntimeError, match="mat1 and mat2"), shapes.explain(show=lambda _: 1 / 0):
        Block()(torch.randn(2, 7))


def test_keyboard_interrupt_is_not_swallowed() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shapes.diagnose(stop)


def test_as_a_context_it_explains_and_raises() -> None:
    shown = []
    with pytest.raises(RuntimeError, match="mat1 and mat2"), shapes.explain(show=shown.append) as explanation:
        Block()(torch.randn(2, 7))
    assert shown == [explanation.diagnosis] and shown[0].module == "second"
    with shapes.explain(show=shown.append) as explanation:
        Block(6)(torch.randn(2, 7))
    assert explanation.diagnosis is None and len(shown) == 1


def test_outside_a_notebook_the_context_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), shapes.explain():
        Block()(torch.randn(2, 7))
    assert "self.second(hidden)" in capsys.readouterr().err


# Expressions


def test_a_call_over_several_lines_and_nested() -> None:
    model = Block()

    def run() -> torch.Tensor:
        return torch.relu(
            model.second(
                torch.relu(
                    torch.ones(2, 5),
                ),
            ),
        )

    diagnosis = shapes.diagnose(run)
    assert diagnosis is not None and diagnosis.expression == "model.second(torch.relu(torch.ones(2, 5)))"
    assert diagnosis.module == "second"


def test_a_method_chain_over_several_lines() -> None:
    def run() -> torch.Tensor:
        return (
            torch.ones(2, 6)
            .reshape(3, 4)
            .view(5, 2)
        )  # fmt: skip

    diagnosis = shapes.diagnose(run)
    assert diagnosis is not None and diagnosis.operation == "view" and diagnosis.expression.endswith(".view(5, 2)")
    assert diagnosis.tensors[0].shape == (3, 4)


def test_two_calls_on_one_line() -> None:
    good, bad = nn.Linear(3, 3), nn.Linear(4, 4)
    diagnosis = shapes.diagnose(lambda x: (good(x), bad(x)), torch.ones(2, 3))
    assert diagnosis is not None and diagnosis.expression == "bad(x)"


def test_a_comprehension_a_generator_and_map() -> None:
    layers = nn.ModuleList([nn.Linear(3, 2), nn.Linear(4, 2)])
    x = torch.ones(2, 3)
    listed = shapes.diagnose(lambda: [layer(x) for layer in layers])
    generated = shapes.diagnose(lambda: torch.cat(tuple(layer(x) for layer in layers)))
    mapped = shapes.diagnose(lambda: list(map(layers[1], [x])))
    assert listed is not None and generated is not None and mapped is not None
    assert listed.expression == generated.expression == "layer(x)"
    assert listed.module == generated.module == "1"
    assert mapped.operation == "Linear" and (2, 3) in [t.shape for t in mapped.tensors]


def test_a_partial_of_a_function_and_of_a_layer() -> None:
    weight = torch.ones(4, 3)
    apply = functools.partial(F.linear, weight=weight)
    diagnosis = shapes.diagnose(lambda: apply(torch.ones(2, 5)))
    assert (
        diagnosis is not None and diagnosis.operation == "linear" and diagnosis.expression == "apply(torch.ones(2, 5))"
    )
    assert {(2, 5), (4, 3)} <= {t.shape for t in diagnosis.tensors}
    layer = shapes.diagnose(functools.partial(nn.Linear(3, 2), torch.ones(2, 5)))
    assert layer is not None and layer.operation == "Linear" and layer.tensors[0].shape == (2, 5)


def test_a_function_of_torch_given_directly() -> None:
    diagnosis = shapes.diagnose(torch.cat, [torch.ones(2, 3), torch.ones(3, 4)], 0)
    assert diagnosis is not None and diagnosis.operation == "cat" and "all other sizes equal" in diagnosis.cause


def test_code_without_source_is_diagnosed_too() -> None:
    names: dict = {"torch": torch}
    exec("def run(a, b):\n    return torch.cat([a, b])", names)
    diagnosis = shapes.diagnose(names["run"], torch.ones(2, 3), torch.ones(2, 4))
    assert diagnosis is not None and diagnosis.operation == "cat"
    assert {t.shape for t in diagnosis.tensors} == {(2, 3), (2, 4)}


def test_a_notebook_cell_with_magics_is_read() -> None:
    name, text = "ipykernel_1/1.py", "%matplotlib inline\nx = torch.ones(2, 3)\ny = x.view(5)\n"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    code = compile(text.replace("%", "#"), name, "exec")
    diagnosis = shapes.diagnose(exec, code, {"torch": torch})
    assert diagnosis is not None and diagnosis.expression == "x.view(5)" and diagnosis.place == "cell, line 3"


def test_layers_that_share_a_module_or_lie_in_a_list_are_named() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [nn.Linear(3, 3), nn.Linear(4, 4)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                x = block(x)
            return x

    diagnosis = shapes.diagnose(Listed(), torch.ones(2, 3))
    assert diagnosis is not None and diagnosis.module == "blocks[1]"
    assert "plain list" in diagnosis.notes[-1] and diagnosis.fixes[0].code == "self.blocks[1] = nn.Linear(3, 4)"


# Where numbers come from


def test_a_number_is_followed_through_the_function_that_failed() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool = nn.Conv2d(1, 13, (3, 11)), nn.MaxPool2d((3, 1), 1)
            self.fc = nn.Linear(442, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.conv(x))
            x = self.pool(x)
            x = x.flatten(1)
            return self.fc(x)

    with pytest.raises(RuntimeError) as caught:
        Net()(torch.ones(2, 1, 64, 11))
    diagnosis = shapes.explain_error(caught.value)
    assert diagnosis.origins == ("780 = channels 13 x height 60 x width 1 after flatten",)


def test_what_only_arithmetic_suggests_is_called_probable() -> None:
    def joined(parts: list[torch.Tensor]) -> torch.Tensor:
        return [torch.cat(parts, 0)][0]

    conv, parts = nn.Conv2d(7, 7, 3), [torch.ones(5, 11, 13) for _ in range(7)]
    with pytest.raises(RuntimeError) as caught:
        exec("x = hidden(parts)\nconv(x)", {"hidden": joined, "parts": parts, "conv": conv})
    diagnosis = shapes.explain_error(caught.value)
    assert diagnosis.origins in (
        ("35 is probably 7 tensors of parts x 5",),
        ("35 = 7 tensors x 5, joined by cat(dim=0)",),
    )


# What an explanation says where shapes alone leave a choice


def explained(run, *args) -> tuple[str, Diagnosis]:
    """The text on one line, from the traceback alone, and the diagnosis."""
    with pytest.raises(Exception) as caught:
        run(*args)
    diagnosis = shapes.explain_error(caught.value)
    return re.sub(r"\s+", " ", str(diagnosis)), diagnosis


@pytest.mark.parametrize(
    ("run", "fix"),
    [
        (lambda places: nn.Embedding(11, 7)(places), "(places[:11])"),
        (lambda x: nn.Embedding(11, 7)(x), "(x[:11])"),  # counted from 0: positions, whatever the name
    ],
)
def test_a_table_of_positions_is_not_measured_by_the_tokenizer(run, fix: str) -> None:
    text, diagnosis = explained(run, torch.arange(17))
    assert "tokenizer" not in text and "11 positions" in text and "trained anew" in text
    assert (
        diagnosis.fixes[0].verified and fix in diagnosis.fixes[0].code and "cut to 11 tokens" in diagnosis.fixes[0].why
    )


def test_of_a_table_of_anything_nothing_is_presumed() -> None:
    text, _ = explained(lambda e, x: e(x), nn.Embedding(11, 7), torch.tensor([3, 12]))
    assert "a row for every number up to 12" in text and "tokenizer" not in text and "positions" not in text
    text, _ = explained(lambda word_embeddings, x: word_embeddings(x), nn.Embedding(11, 7), torch.tensor([3, 12]))
    assert "len(tokenizer)" in text


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_a_target_that_no_variable_holds_is_read_from_the_error(loss) -> None:
    text, diagnosis = explained(lambda: loss(torch.randn(4, 7), torch.tensor([0, 3, 9, 6])))
    assert diagnosis.known and "scores for 7 classes, 0 to 6, but a target is 9." in text
    assert not any(fix.verified for fix in diagnosis.fixes)  # a larger target may follow
    _, diagnosis = explained(lambda: F.cross_entropy(torch.randn(2, 7), torch.tensor([-1, 3])))
    assert diagnosis.fixes[0].verified and "ignore_index=-1" in diagnosis.fixes[0].code


@pytest.mark.parametrize(("kind", "state"), [(nn.LSTM, "[1][0][-1]"), (nn.GRU, "[1][-1]")])
def test_after_a_recurrent_layer_the_outputs_come_first_and_one_state_in_words(kind: type, state: str) -> None:
    net = nn.Sequential(kind(5, 7, batch_first=True), nn.Linear(7, 3))
    _, diagnosis = explained(lambda x: net(x), torch.randn(2, 3, 5))
    assert [fix.code for fix in diagnosis.fixes] == ["net[1](net[:1](x)[0])", f"net[1](net[:1](x){state})"]
    assert "every token" in diagnosis.fixes[0].why and "final state of each text" in diagnosis.fixes[1].why
    names = [operand.name for operand in diagnosis.tensors]
    assert len(set(names)) == len(names) and ("input[1][1]" in names) is (kind is nn.LSTM)


def test_attention_is_not_taken_for_a_recurrent_layer() -> None:
    attention, fc = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)
    out = attention(*[torch.randn(2, 3, 4)] * 3)
    text, _ = explained(lambda: fc(out))
    assert "recurrent" not in text


def test_too_many_rows_are_followed_to_their_joining_before_they_are_averaged() -> None:
    scores, labels = torch.randn(35, 3), torch.randint(0, 3, (5,))
    _, diagnosis = explained(lambda: F.cross_entropy(scores, labels))
    assert "Look first where 7 tensors were joined: stack, not cat" in diagnosis.cause
    assert not any("repeat" in fix.code for fix in diagnosis.fixes)
    assert "changes the meaning" in diagnosis.fixes[-1].why and "mean" in diagnosis.fixes[-1].code


def test_a_yes_for_a_padding_becomes_zero_or_perhaps_one() -> None:
    conv, x = nn.Conv2d(3, 5, 3, padding=True), torch.randn(2, 3, 11, 13)
    _, diagnosis = explained(lambda: conv(x))
    assert [fix.verified for fix in diagnosis.fixes] == [True, True]
    assert diagnosis.fixes[0].code == "conv = nn.Conv2d(3, 5, 3)" and "if True was meant as 1" in diagnosis.fixes[1].why


def test_a_second_fault_does_not_take_away_the_repair_of_the_first() -> None:
    conv, x = nn.Conv2d(1, 5, 3, padding=True), torch.randn(2, 11, 13)
    _, diagnosis = explained(lambda: conv(x))
    assert "a bool" in diagnosis.cause and "Beside that: conv2d has 1 input channel," in diagnosis.cause
    assert diagnosis.fixes[0].verified
    assert diagnosis.fixes[0].code.splitlines() == ["conv = nn.Conv2d(1, 5, 3)", "conv(x.unsqueeze(1))"]
    exec(diagnosis.fixes[0].code, {"nn": nn, "x": x})
    alone = [fix for fix in diagnosis.fixes if fix.code == "conv = nn.Conv2d(1, 5, 3)"]
    assert alone and not alone[0].verified and "the other fault remains" in alone[0].why


def test_the_text_out_of_an_unpacked_output_leads_back_to_the_output() -> None:
    from transformers.modeling_outputs import BaseModelOutput

    def model() -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=torch.ones(2, 3, 5), hidden_states=(torch.ones(2, 3, 5),) * 3)

    def at_hand() -> torch.Tensor:
        outputs = model()
        _, layers = outputs
        return torch.cat(layers)

    def gone() -> torch.Tensor:
        _, layers = model()
        return torch.cat(layers)

    def method() -> torch.Tensor:
        last, _ = model()
        return last.mean(dim=1)

    text, diagnosis = explained(at_hand)
    assert "cat takes a tuple or list of tensors, but layers is the text 'hidden_states'." in text
    assert [(fix.code, fix.verified) for fix in diagnosis.fixes] == [("torch.cat(outputs.hidden_states)", True)]
    _, diagnosis = explained(gone)
    assert not diagnosis.fixes[0].verified
    assert diagnosis.fixes[0].code == "outputs = model()\ntorch.cat(outputs.hidden_states)"
    _, diagnosis = explained(method)
    assert diagnosis.fixes[0].code == "outputs = model()\noutputs.last_hidden_state.mean(dim=1)"


def test_a_batch_for_channels_is_suspected_only_where_nothing_else_explains_it() -> None:
    x = torch.randn(13, 4, 7, 11)

    def said(layer: nn.Module) -> str:
        return explained(layer, x)[0]

    assert "A layer never knows the batch: in_channels is the number of channels." in said(nn.Conv2d(32, 5, 3))
    assert "never knows the batch" in said(nn.Conv2d(13, 5, 3))  # the input's own batch
    assert "never knows the batch" not in said(nn.Conv2d(6, 5, 3))
    assert "never knows the batch" not in said(nn.Sequential(nn.Conv2d(4, 64, 3), nn.Conv2d(32, 5, 3)))


def test_a_loss_tells_classes_and_labels_from_hidden_and_tokens() -> None:
    scores, tags = torch.randn(3, 11, 5), torch.randint(0, 5, (3, 11))
    _, diagnosis = explained(lambda: F.cross_entropy(scores, tags))
    assert diagnosis.tensors[0].meaning[2] == "classes"
    logits, labels = torch.randn(3, 5), torch.randint(0, 2, (3, 7))
    _, diagnosis = explained(lambda: F.binary_cross_entropy_with_logits(logits, labels))
    assert diagnosis.tensors[1].meaning == ("batch", "labels")


def test_a_mask_hides_keys_before_it_acts_on_queries() -> None:
    scores, mask = torch.randn(3, 7, 7), torch.zeros(3, 7)
    _, diagnosis = explained(lambda: scores + mask)
    keys, queries = diagnosis.fixes[:2]
    assert keys.code == "scores + mask[:, None]" and "usual attention mask" in keys.why
    assert queries.code == "scores + mask[:, :, None]" and "the rows, the queries" in queries.why
    planes, shift = torch.randn(3, 7, 7), torch.zeros(3, 7)
    assert "attention" not in explained(lambda: planes + shift)[0]


# How it looks


def test_text_and_page_show_everything() -> None:
    diagnosis = shapes.diagnose(Block(), torch.randn(2, 7))
    assert diagnosis is not None
    text, page = str(diagnosis), diagnosis._repr_html_()
    for part in (
        "self.second(hidden)",
        "second",
        "(2, 5)",
        "6 input features",
        "self.second = nn.Linear(5, 3)",
        "tried, runs",
    ):
        assert part in text and part in page
    assert max(map(len, text.splitlines())) < 140


def test_at_a_prompt_it_shows_its_text() -> None:
    from IPython.lib.pretty import pretty

    diagnosis = shapes.diagnose(Block(), torch.randn(2, 7))
    assert pretty(diagnosis) == repr(diagnosis) == str(diagnosis)


def test_the_page_colours_borders_only_and_escapes() -> None:
    diagnosis = shapes.diagnose(lambda x: x.view(3 if 1 < 2 else 4, 3), torch.ones(2, 5))
    assert diagnosis is not None
    page = diagnosis._repr_html_()
    assert "1 &lt; 2" in page
    for colour in re.finditer(r"#[0-9a-f]{6}", page):
        assert "border-left" in page[: colour.start()].rsplit(";", 1)[-1].rsplit('"', 1)[-1]
    assert not re.search(r"[^-]color:(?!inherit)", page)
    assert not re.search(r"background:(?!transparent)", page)
