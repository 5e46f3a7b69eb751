import pytest
import torch
import transformers

from course_lib import pooling, pretrained
from course_lib.batching import Batches
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.probing import Probe, layer_vectors, standardise
from course_lib.training import fit, set_seed

L, H, K = 3, 10, 4
SIZES = {
    "vocab_size": 30522, "hidden_size": H, "num_hidden_layers": L, "num_attention_heads": 2, "intermediate_size": 13,
    "max_position_embeddings": 64, "initializer_range": 0.3,
}  # fmt: skip
TEXTS = ["a", "the river is wide and slow today", "two words", "the bank of the river was muddy after the rain", "yes"]


@pytest.fixture(scope="module")
def tokenizer():
    return pretrained.load_tokenizer("embedded")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return BertModel(BertConfig.from_dict(SIZES)).eval()


@pytest.fixture(scope="module")
def vectors(model, tokenizer):
    return layer_vectors(TEXTS, model, tokenizer, pad_to=17)


def test_every_way_has_a_vector_for_each_text_and_hidden_state(vectors) -> None:
    shapes = {name: tuple(value.shape) for name, value in vectors.items()}
    every = (len(TEXTS), L + 1, H)
    assert shapes == {"cls": every, "mean": every, "max": every, "padded mean": every, "pooler": (len(TEXTS), H)}


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_each_text_has_the_vectors_that_pooling_gives_it_alone(vectors, model, tokenizer, number: int) -> None:
    one = tokenizer(TEXTS[number], return_tensors="pt")
    with torch.no_grad():
        out = model(**one, output_hidden_states=True)
        padded = tokenizer(TEXTS[number], padding="max_length", max_length=17, return_tensors="pt")
        with_padding = model(**padded, output_hidden_states=True)
    for layer, hidden in enumerate(out.hidden_states):
        expected = {
            "cls": pooling.cls(hidden),
            "mean": pooling.masked_mean(hidden, one["attention_mask"]),
            "max": pooling.masked_max(hidden, one["attention_mask"]),
            "padded mean": with_padding.hidden_states[layer].mean(dim=1),
        }
        for name, value in expected.items():
            assert torch.allclose(vectors[name][number, layer], value[0], atol=1e-5), (name, layer)
    assert torch.allclose(vectors["pooler"][number], out.pooler_output[0], atol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 23, 4096])
def test_batches_and_order_change_nothing(vectors, model, tokenizer, batch_tokens: int) -> None:
    order = [3, 0, 4, 2, 1]
    found = layer_vectors([TEXTS[i] for i in order], model, tokenizer, batch_tokens)
    assert set(found) == {"cls", "mean", "max", "pooler"}  # what padding changes is there only for a fixed length
    for name, value in found.items():
        assert torch.allclose(value, vectors[name][order], atol=1e-5), name


def test_a_model_of_transformers_gives_the_same(vectors, model, tokenizer) -> None:
    theirs = transformers.BertModel(transformers.BertConfig(**SIZES)).eval()
    theirs.load_state_dict(model.state_dict())
    for name, value in layer_vectors(TEXTS, theirs, tokenizer, pad_to=17).items():
        assert torch.allclose(value, vectors[name], atol=1e-5), name


def test_the_model_stays_in_its_mode_and_reads_without_dropout(vectors, model, tokenizer) -> None:
    model.train()
    try:
        found = layer_vectors(TEXTS, model, tokenizer)
        assert model.training
    finally:
        model.eval()
    assert torch.allclose(found["mean"], vectors["mean"], atol=1e-5)
    assert all(p.grad is None for p in model.parameters())


def test_a_model_without_a_pooler_gives_no_pooler(tokenizer) -> None:
    bare = BertModel(BertConfig.from_dict(SIZES), add_pooling_layer=False).eval()
    assert "pooler" not in layer_vectors(TEXTS[:1], bare, tokenizer)


def test_texts_longer_than_the_fixed_length_are_cut(model, tokenizer) -> None:
    whole, cut = (layer_vectors(TEXTS[3:4], model, tokenizer, pad_to=length)["mean"] for length in (13, 5))
    assert not torch.allclose(whole, cut, atol=1e-3)


def test_what_is_no_list_of_texts_is_refused(model, tokenizer) -> None:
    with pytest.raises(TypeError, match="give a list of texts"):
        layer_vectors("one text", model, tokenizer)
    with pytest.raises(ValueError, match="texts is empty"):
        layer_vectors([], model, tokenizer)


# ------------------------------------------------------------------------------------------------ equal scales


def test_training_vectors_have_mean_0_and_deviation_1_and_the_others_the_same_change() -> None:
    draw = torch.Generator().manual_seed(0)
    train, dev = (torch.randn(n, 3, H, generator=draw) * 7 + 5 for n in (23, 11))
    train[..., 2], dev[..., 2] = train[..., 2] * 1e-4, dev[..., 2] * 1e-4
    scaled, scaled_dev = standardise(train, dev)
    assert torch.allclose(scaled.mean(dim=0), torch.zeros(3, H), atol=1e-5)
    assert torch.allclose(scaled.std(dim=0), torch.ones(3, H), atol=1e-4)
    assert torch.allclose(scaled_dev, (dev - train.mean(dim=0)) / train.std(dim=0), atol=1e-3)
    assert not torch.allclose(scaled_dev.mean(dim=0), torch.zeros(3, H), atol=1e-2)


@pytest.mark.parametrize("value", [0.0, 3.7, -1e4])
def test_numbers_that_differ_by_rounding_alone_become_0_and_are_not_blown_up(value: float) -> None:
    train = torch.full((5, 2), value)
    train[0, 0] = torch.nextafter(train[0, 0], torch.tensor(1e9))
    for part in standardise(train, train[:1]):
        assert torch.equal(part, torch.zeros_like(part))


# ------------------------------------------------------------------------------------------------ the probe


def features(n: int = 37, layers: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % K
    values = torch.randn(n, layers or 1, H, generator=draw) * 0.3
    values[:, -1, :K] += torch.nn.functional.one_hot(labels, K)  # the last layer knows
    return {"features": values if layers else values[:, 0], "labels": labels}


@pytest.mark.parametrize("options", [{}, {"layers": 3}, {"samples": 2}, {"layers": 3, "samples": 2, "dropout": 0.1}])
def test_every_kind_of_probe_learns_with_the_trainer(options: dict) -> None:
    data = features(layers=options.get("layers", 0))
    set_seed(0)
    probe = Probe(H, K, **options)
    before = [p.detach().clone() for p in probe.parameters()]
    report = fit(probe, Batches(data, 8, shuffle=0), Batches(data, 8), epochs=20, learning_rate=0.03)
    assert report.kept.dev.accuracy > 0.9 and report.kept.dev.logits.shape == (37, K)
    moved = [not torch.equal(p, old) for p, old in zip(probe.parameters(), before, strict=True)]
    assert all(moved)


def test_a_plain_probe_is_one_linear_layer() -> None:
    probe, data = Probe(H, K), features()
    out = probe(**data)
    assert torch.equal(out.logits, data["features"] @ probe.classifier.weight.T + probe.classifier.bias)
    assert torch.allclose(out.loss, torch.nn.functional.cross_entropy(out.logits, data["labels"]))
    assert probe(data["features"]).loss is None


def test_samples_of_dropout_are_drawn_in_training_alone() -> None:
    probe, x = Probe(H, K, samples=3), features()["features"]
    torch.manual_seed(0)
    expected = torch.stack([probe.classifier.layer(torch.dropout(x, 0.5, train=True)) for _ in range(3)]).mean(dim=0)
    torch.manual_seed(0)
    assert torch.allclose(probe.train()(x).logits, expected, atol=1e-6)
    assert torch.equal(probe.eval()(x).logits, probe.classifier.layer(x))


def test_the_mix_weighs_layers_and_finds_the_one_that_knows() -> None:
    data = features(layers=3)
    set_seed(0)
    probe = Probe(H, K, layers=3)
    assert torch.allclose(probe(data["features"]).logits, probe.classifier(data["features"].mean(dim=1)), atol=1e-6)
    fit(probe, Batches(data, 8, shuffle=0), epochs=20, learning_rate=0.05)
    weights = probe.mix.scores.softmax(dim=0)
    assert weights.argmax() == 2 and weights[2] > 0.5


@pytest.mark.parametrize("options", [{}, {"layers": 3}])
def test_a_neighbour_changes_nothing(options: dict) -> None:
    probe, x = Probe(H, K, **options).eval(), features(layers=options.get("layers", 0))["features"]
    alone = torch.cat([probe(row[None]).logits for row in x])
    assert torch.allclose(probe(x).logits, alone, atol=1e-6)


def test_the_mean_may_be_mixed_before_or_after_pooling_and_the_maximum_not() -> None:
    draw = torch.Generator().manual_seed(1)
    states = [torch.randn(2, 5, H, generator=draw) for _ in range(3)]
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    mix = pooling.LayerMix(3)
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([0.1, -1.0, 2.0]))
    for pool, equal in ((pooling.masked_mean, True), (pooling.masked_max, False)):
        before, after = pool(mix(states), mask), mix([pool(state, mask) for state in states])
        assert torch.allclose(before, after, atol=1e-6) == equal


@pytest.mark.parametrize(
    ("options", "shape", "words"),
    [({}, (2, 3, H), "choose a layer"), ({"layers": 3}, (2, 2, H), "last 3 layers of 2 hidden"), ({"layers": 3}, (2, H), "takes \\(B, layers, H\\)")],
)  # fmt: skip
def test_features_of_another_shape_are_refused_in_a_sentence(options: dict, shape: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Probe(H, K, **options)(torch.zeros(shape))


def test_labels_out_of_range_are_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="labels holds 4; with 4 classes, 0 to 3 fit"):
        Probe(H, K)(torch.zeros(2, H), torch.tensor([0, 4]))
