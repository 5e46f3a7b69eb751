import contextlib
import copy
import io
import random
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from course_lib.shapes.tracing import Row, Trace, trace


class Head(nn.Module):
    """The question's classifier: layers as channels, convolution, pooling, a Linear that fits or does not."""

    def __init__(self, features: int = 13 * 3 * 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(13, 13, (3, 17))
        self.pool = nn.MaxPool2d((3, 1))
        self.flat = nn.Flatten()
        self.fc = nn.Linear(features, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.flat(self.pool(torch.relu(self.conv(x)))))


IMAGE = (5, 13, 11, 17)


def by_name(found: Trace) -> dict[str, Row]:
    return {row.name: row for row in found.rows}


def tiny_bert(attention: str = "sdpa", head: bool = True) -> nn.Module:
    import transformers

    config = transformers.BertConfig(
        vocab_size=101, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
        max_position_embeddings=32, num_labels=7, attn_implementation=attention,
    )  # fmt: skip
    return (transformers.BertForSequenceClassification if head else transformers.BertModel)(config)


def state(model: nn.Module) -> dict:
    """Everything about a model that a helper could change."""
    return {
        "weights": {k: v.clone() for k, v in model.state_dict().items()},
        "ids": [id(p) for p in (*model.parameters(), *model.buffers())],
        "grads": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "requires": [p.requires_grad for p in model.parameters()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()],
        "attributes": [sorted(m.__dict__) for m in model.modules()],
        "devices": [p.device for p in model.parameters()],
    }


def assert_same(before: dict, after: dict) -> None:
    for key in before:
        if key == "weights":
            assert before[key].keys() == after[key].keys()
            assert all(torch.equal(before[key][k], after[key][k]) for k in before[key])
        elif key == "grads":
            for old, new in zip(before[key], after[key], strict=True):
                assert (old is None and new is None) or torch.equal(old, new)
        else:
            assert before[key] == after[key], key


def test_rows_come_in_the_order_of_the_calls_with_shapes_and_names() -> None:
    found = trace(Head(), torch.randn(IMAGE))
    assert [(r.name, r.layer) for r in found.rows] == [
        ("", "Head"), ("conv", "Conv2d"), ("pool", "MaxPool2d"), ("flat", "Flatten"), ("fc", "Linear"),
    ]  # fmt: skip
    rows = by_name(found)
    assert rows["conv"].inputs == {"input": IMAGE} and rows["conv"].outputs == (5, 13, 9, 1)
    assert rows["pool"].outputs == (5, 13, 3, 1) and rows["flat"].outputs == (5, 39) and rows["fc"].outputs == (5, 3)
    assert str(rows["conv"].outputs) == "(B 5, C 13, height 9, width 1)"
    assert str(rows["flat"].outputs) == "(B 5, C·height·width 39)"
    assert str(rows[""].inputs["x"]) == "(B 5, C 13, height 11, width 17)"  # learnt from the layer that takes it
    assert found.error is None and found.failed is None and not found.real


def test_parameters_are_counted_and_shared_ones_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(11, 3)
            self.mix = nn.Linear(3, 3)
            self.out = nn.Linear(3, 11)
            self.out.weight = self.words.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.out(self.mix(self.mix(self.words(ids))))

    model = Tied()
    model.mix.bias.requires_grad_(False)
    found = trace(model, torch.zeros(2, 5, dtype=torch.long))
    counts = [(r.name, r.parameters, r.shared) for r in found.rows]
    assert counts == [("", 56, 0), ("words", 33, 0), ("mix", 12, 0), ("mix", 0, 12), ("out", 11, 33)]
    assert found.parameters == sum(p.numel() for p in model.parameters()) == 56 and found.trainable == 53
    assert sum(r.parameters for r in found.rows if r.is_leaf) == 56
    assert "11 (+ 33 shared)" in str(found)


def test_a_failing_layer_is_the_last_row_and_marked_and_the_error_is_kept() -> None:
    model = Head(features=40)
    found = trace(model, torch.randn(IMAGE))
    assert [r.name for r in found.rows if r.failed] == ["fc"] == [found.rows[-1].name] and found.failed.name == "fc"
    with pytest.raises(RuntimeError) as raised:
        model(torch.randn(IMAGE))
    assert type(found.error) is RuntimeError and str(found.error) == str(raised.value)  # the true one, not a fake one's
    assert found.rows[-1].inputs == {"input": (5, 39)} and found.rows[-1].outputs is None
    text = str(found)
    assert "✗ FAILED" in text and "not reached" in text  # the layer, and the model around it
    assert "return self.fc(self.flat(" in text and "mat1 and mat2" in text
    assert "✗ FAILED" in found._repr_html_()


def test_an_error_in_a_containers_own_lines_marks_the_container() -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(3, 5), nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x).view(7, 7)

    found = trace(nn.Sequential(nn.Linear(3, 3), Wrong()), torch.randn(2, 3))
    assert [r.name for r in found.rows if r.failed] == ["1"]
    assert by_name(found)["1.inner.1"].outputs == (2, 5)
    assert ".view(7, 7)" in str(found).splitlines()[-1]


def test_a_layer_whose_error_the_model_catches_does_not_confuse_the_table() -> None:
    class Catches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong, self.right = nn.Linear(5, 2), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with contextlib.suppress(RuntimeError):
                return self.wrong(x)
            return self.right(x)

    found = trace(Catches(), torch.randn(2, 3))
    assert found.error is None and found.failed is None
    assert by_name(found)[""].outputs == (2, 2) and by_name(found)["right"].depth == 1


def test_tuples_dicts_and_model_outputs_are_shown_fully() -> None:
    class Many(nn.Module):
        def forward(self, pair: tuple, *, options: dict, scale: float, unused: None = None) -> dict:
            a, b = pair
            return {"sum": a + b, "parts": [a, (b, options["c"])], "nothing": None, "scale": scale}

    a, c = torch.randn(2, 3), torch.randn(7)
    found = trace(Many(), (a, a), options={"c": c}, scale=0.5)
    row = found.rows[0]
    assert row.inputs == {"pair": ((2, 3), (2, 3)), "options": {"c": (7,)}, "scale": 0.5}
    assert row.outputs == {"sum": (2, 3), "parts": [(2, 3), ((2, 3), (7,))], "scale": 0.5}
    assert "parts[1][1] (7)" in str(found)

    out = trace(nn.LSTM(3, 5, num_layers=2, batch_first=True), torch.randn(2, 7, 3)).rows[0].outputs
    assert out == ((2, 7, 5), ((2, 2, 5), (2, 2, 5))) and str(out[0]) == "(B 2, T 7, H 5)"

    model = tiny_bert()
    found = trace(model, torch.ones(5, 11, dtype=torch.long), labels=torch.zeros(5, dtype=torch.long), output_hidden_states=True)  # fmt: skip
    outputs = found.rows[0].outputs
    assert list(outputs) == ["loss", "logits", "hidden_states"] and outputs["loss"] == ()
    assert outputs["hidden_states"] == ((5, 11, 24),) * 3 and not found.real
    assert "hidden_states 3 x (B 5, T 11, H 24)" in str(found)
    assert str(by_name(found)["bert.encoder.layer.1.intermediate"].outputs) == "(B 5, T 11, F 48)"


def test_packed_sequences_and_data_dependent_models_run_on_real_tensors() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 5, batch_first=True)

        def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return self.lstm(packed)[1][0][-1]

    found = trace(Packed(), torch.randn(3, 7, 3), torch.tensor([7, 2, 5]))
    assert found.error is None and found.real and "numbers" in found.remark
    assert found.rows[1].inputs["input"]["data"] == (14, 3) and found.rows[0].outputs == (3, 5)

    class Chooses(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[x > 0] if x.sum() > 0 else x

    assert trace(Chooses(), torch.ones(2, 3)).rows[0].outputs == (6,)


def test_an_id_outside_the_vocabulary_fails_although_fake_tensors_would_accept_it() -> None:
    model = nn.Sequential(nn.Embedding(11, 3), nn.Linear(3, 2))
    found = trace(model, torch.tensor([[1, 11]]))
    assert type(found.error) is IndexError and found.failed.name == "0" and len(found.rows) == 2


def test_real_tensors_on_request() -> None:
    assert trace(Head(), torch.randn(IMAGE), real=True).real


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("broken", [False, True])
def test_the_model_inputs_and_generators_stay_untouched(real: bool, broken: bool) -> None:
    class Restless(Head):
        """Changes itself in every forward pass: statistics, attributes, a table that renormalises its rows."""

        def __init__(self) -> None:
            super().__init__(40 if broken else 39)
            self.norm = nn.BatchNorm2d(13)
            self.table = nn.Embedding(7, 3, max_norm=0.1)
            self.calls = 0
            self.seen: list = []
            self.lock = threading.Lock()  # cannot be copied

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            self.last = x
            self.table(torch.arange(7))
            x *= 2
            return super().forward(self.norm(x + torch.rand_like(x) + random.random() + np.random.rand()))

    model = Restless()
    model.fc.weight.grad = torch.ones_like(model.fc.weight)
    model.pool.eval()
    model.register_forward_hook(lambda *_: None)
    x = torch.randn(IMAGE)
    kept, before = x.clone(), state(model)
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    expected = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    found = trace(model, x, real=real)
    assert (found.error is not None) is broken
    assert (torch.rand(1), random.random(), np.random.rand()) == expected
    assert_same(before, state(model))
    assert model.calls == 0 and torch.equal(x, kept)


def test_transformers_own_hooks_do_not_land_on_the_users_model() -> None:
    model = tiny_bert(head=False)
    trace(model, torch.ones(5, 11, dtype=torch.long), output_hidden_states=True)
    assert not any(m._forward_hooks for m in model.modules())


def test_the_table_of_a_model_without_memory_for_its_weights() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(10**6, 10**6), nn.Linear(10**6, 3))
    found = trace(model, torch.empty(2, 10**6, device="meta"))
    assert found.rows[0].outputs == (2, 3) and found.rows[1].parameters == 10**12 + 10**6 and not found.real


def test_a_large_model_is_traced_without_its_numbers() -> None:
    model = nn.Linear(3, 5)
    calls = []
    original = torch.Tensor.clone
    try:
        torch.Tensor.clone = lambda *a, **k: calls.append(a) or original(*a, **k)
        assert trace(model, torch.randn(2, 3)).rows[0].outputs == (2, 5)
    finally:
        torch.Tensor.clone = original
    assert not calls  # no copy of any weight was made


def test_lazy_layers_get_their_sizes_in_the_copy_alone() -> None:
    model = nn.Sequential(nn.LazyLinear(5), nn.ReLU())
    found = trace(model, torch.randn(2, 3))
    assert found.rows[1].parameters == 20 == found.parameters and found.rows[0].outputs == (2, 5)
    assert isinstance(model[0].weight, nn.parameter.UninitializedParameter)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_bert_is_traced_on_fake_tensors(attention: str) -> None:
    ids = torch.randint(0, 101, (5, 11))
    found = trace(tiny_bert(attention).eval(), ids, torch.ones_like(ids))
    assert found.error is None and not found.real and len(found.rows) > 40


def test_a_batch_of_one_and_unbatched_images() -> None:
    assert str(trace(Head(), torch.randn(1, *IMAGE[1:])).rows[1].outputs) == "(B 1, C 13, height 9, width 1)"
    found = trace(nn.Conv2d(13, 5, 3), torch.randn(13, 11, 17))
    assert str(found.rows[0].outputs) == "(C 5, height 9, width 15)"


def test_a_wrong_call_is_kept_as_an_error_too() -> None:
    found = trace(Head(), torch.randn(IMAGE), 5)
    assert type(found.error) is TypeError and "takes 2 positional arguments" in str(found)


def test_what_is_no_module_is_refused_in_one_sentence() -> None:
    with pytest.raises(TypeError, match="was given a function; it takes a torch module"):
        trace(lambda x: x, torch.randn(2))


def test_the_pages_table_escapes_and_names_everything() -> None:
    class Odd(nn.Module):
        def forward(self, **many: object) -> object:
            return many["x"]

    page = trace(Odd(), **{"x": torch.randn(2, 3), "text": "<b>"})._repr_html_()
    assert "<b>" not in page and "&lt;b&gt;" in page and "<caption>Odd" in page


@pytest.mark.parametrize("features", [39, 40])
def test_the_drawing_says_in_words_what_it_shows(features: int) -> None:
    picture = trace(Head(features), torch.randn(IMAGE)).draw()
    assert (
        "the input is (B 5, C 13, height 11, width 17); conv · Conv2d gives (B 5, C 13, height 9, width 1)"
        in picture.alt
    )
    assert ("fc · Linear fails" in picture.alt) is (features == 40)
    assert Image.open(io.BytesIO(picture.png)).width > 500


def test_the_drawing_of_a_deep_model_keeps_to_its_limit_and_says_what_is_missing() -> None:
    deep = nn.Sequential(*[nn.Linear(7, 7) for _ in range(23)])
    found = trace(deep, torch.randn(2, 7))
    assert "; 13 layers between are left out" in found.draw(limit=10).alt
    assert found.draw(limit=30).alt.count("· Linear gives") == 23
    wide = trace(nn.Sequential(nn.Linear(3, 9000), nn.Linear(9000, 3), nn.Linear(3, 3)), torch.randn(2, 3)).draw()
    assert "square root" in wide.alt


def test_boxes_are_to_scale() -> None:
    from course_lib.shapes.dimensions import Shape
    from course_lib.shapes.flow import _WIDEST, _inches

    deep, high, wide = _inches(Shape((5, 10, 20, 40), ("B", "", "", "")), False, 40)
    assert (deep, high, wide) == pytest.approx((_WIDEST / 4, _WIDEST / 2, _WIDEST))


def test_a_traced_model_still_trains_and_copies() -> None:
    model = Head()
    trace(model, torch.randn(IMAGE))
    F.cross_entropy(model(torch.randn(IMAGE)), torch.zeros(5, dtype=torch.long)).backward()
    assert all(p.grad is not None for p in model.parameters())
    copy.deepcopy(model)
