"""Every model of the zoo: shapes, padding, order, batches of one, short texts, the ragged last batch, saving."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from course_lib import zoo
from course_lib.bert import BertModel
from course_lib.config import BertConfig
from course_lib.errors import ModelFilesError
from course_lib.zoo.bert_layers_cnn import LayersCNN
from course_lib.zoo.classifier import to_the_left
from course_lib.zoo.convolution import TextConvolution, whole_windows
from course_lib.zoo.fast_text import hashed
from course_lib.zoo.lstm import BiLSTM, turned

V, K = 53, 3
SMALL = {
    "TextCNN": {"filters": 5, "embedding": 14},
    "TextRNN": {"hidden": 7, "embedding": 14},
    "TextRNN_Att": {"hidden": 7, "embedding": 14},
    "TextRCNN": {"hidden": 7, "features": 11, "embedding": 14},
    "FastText": {"buckets": 101, "features": 11, "embedding": 14},
    "DPCNN": {"channels": 11, "embedding": 14},
    "Transformer": {"layers": 2, "heads": 2, "feed_forward": 17, "embedding": 14},
    "bert_CNN": {"filters": 5},
    "bert_RNN": {"hidden": 7},
    "bert_RCNN": {"hidden": 7, "features": 11},
    "bert_DPCNN": {"channels": 11},
}


def small_bert(pooler: bool = True) -> BertModel:
    config = BertConfig(
        vocab_size=V, hidden_size=14, num_hidden_layers=2, num_attention_heads=2, intermediate_size=17,
        max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=pooler)


def small(name: str, seed: int = 0) -> zoo.TextClassifier:
    torch.manual_seed(seed)
    given = {"encoder": small_bert()} if zoo.reads_bert(name) else {"vocab_size": V}
    model = zoo.build(name, K, **given, **SMALL.get(name, {}))
    for part in model.modules():  # so that hashed pairs count too, and nothing is close to 0
        if isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def models() -> dict[str, zoo.TextClassifier]:
    return {name: small(name) for name in zoo.NAMES}


def texts(lengths: list[int], seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(1, V, (length,), generator=generator) for length in lengths]


def batch(rows: list[torch.Tensor], width: int | None = None, left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    width = width or max(map(len, rows))
    ids, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        place = slice(width - len(row), None) if left else slice(len(row))
        ids[i, place], mask[i, place] = row, 1
    return ids, mask


def scores(model: nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(ids, mask).logits


def test_the_table_has_the_fifteen_names() -> None:
    assert len(zoo.NAMES) == 15
    assert sum(zoo.reads_bert(name) for name in zoo.NAMES) == 8


@pytest.mark.parametrize("name", zoo.NAMES)
@settings(max_examples=12, deadline=None)
@given(lengths=st.lists(st.integers(1, 19), min_size=1, max_size=5), more=st.integers(0, 13), left=st.booleans())
def test_padding_and_neighbours_change_nothing(models, name, lengths, more, left) -> None:
    """Each text alone, without padding, has the scores that it has in any batch with any padding on either side."""
    model, rows = models[name], texts(lengths, seed=sum(lengths))
    alone = torch.cat([scores(model, row[None], torch.ones(1, len(row), dtype=torch.long)) for row in rows])
    together = scores(model, *batch(rows, max(lengths) + more, left))
    assert together.shape == (len(rows), K)
    assert torch.allclose(alone, together, atol=2e-5)


@pytest.mark.parametrize("name", zoo.NAMES)
@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 19), min_size=2, max_size=11),
    size=st.integers(1, 7),
    order=st.randoms(use_true_random=False),
)
def test_batches_of_any_size_and_order_give_the_same_predictions(models, name, lengths, size, order) -> None:
    """n texts in batches of k, the last of them ragged, and in another order, each padded to its own longest text."""
    model, rows = models[name], texts(lengths, seed=sum(lengths))
    whole = scores(model, *batch(rows))
    places = list(range(len(rows)))
    order.shuffle(places)
    for some in (range(len(rows)), places):
        parts = [some[start : start + size] for start in range(0, len(rows), size)]
        found = torch.empty_like(whole)
        for part in parts:
            found[list(part)] = scores(model, *batch([rows[i] for i in part]))
        assert torch.allclose(found, whole, atol=2e-5)
        sure = whole.topk(2).values.diff().abs().squeeze(-1) > 1e-4  # two labels that are level may change places
        assert torch.equal(found.argmax(-1)[sure], whole.argmax(-1)[sure])


@pytest.mark.parametrize("name", zoo.NAMES)
def test_what_stands_at_padding_does_not_matter(models, name) -> None:
    ids, mask = batch(texts([5, 2, 11]))
    other = torch.where(mask == 0, torch.full_like(ids, 7), ids)
    assert torch.allclose(scores(models[name], ids, mask), scores(models[name], other, mask), atol=1e-6)
    for kind in (mask.bool(), mask.float()):
        assert torch.equal(scores(models[name], ids, kind), scores(models[name], ids, mask))


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_order_of_a_batch_does_not_matter_and_that_of_the_words_does(models, name) -> None:
    rows = texts([4, 9, 9, 1, 6])
    found = scores(models[name], *batch(rows))
    order = [3, 0, 4, 2, 1]
    assert torch.allclose(scores(models[name], *batch([rows[i] for i in order])), found[order], atol=2e-5)
    turned_round = scores(models[name], *batch([row.flip(0) for row in rows]))
    assert not torch.allclose(turned_round[1], found[1], atol=1e-4)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_a_text_without_a_token_has_finite_scores(models, name) -> None:
    ids, mask = batch(texts([3, 5]))
    mask[1] = 0
    assert torch.isfinite(scores(models[name], ids, mask)).all()


@pytest.mark.parametrize("name", zoo.NAMES)
def test_loss_is_the_cross_entropy_and_every_parameter_learns(name) -> None:
    model = small(name).train()
    rows = texts([9, 17, 12, 30, 5, 8, 3, 21])
    ids, mask = batch(rows)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    answer = model(ids, mask, labels=labels)
    assert torch.allclose(answer.loss, F.cross_entropy(answer.logits, labels))
    answer.loss.backward()
    # BERT's pooler where it is not read, and a key's bias, which the softmax takes away again, have no gradient
    silent = [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    silent = [n for n in silent if "pooler" not in n and not n.endswith("key.bias")]
    assert silent == []


@pytest.mark.parametrize("name", zoo.NAMES)
def test_a_few_steps_learn_which_token_a_text_has(name) -> None:
    model = small(name).train()
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(K, (48,), generator=generator)
    rows = texts([5, 9, 3, 12] * 12, seed=2)
    for row, label in zip(rows, labels, strict=True):
        row[row <= K] = 10
        row[int(label) % len(row)] = label + 1
    ids, mask = batch(rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.eval()  # without dropout: what can it fit at all?
    for _ in range(60):
        optimizer.zero_grad()
        model(ids, mask, labels=labels).loss.backward()
        optimizer.step()
    assert (scores(model, ids, mask).argmax(-1) == labels).float().mean() > 0.9


@pytest.mark.parametrize("name", zoo.NAMES)
def test_saved_and_loaded_it_answers_the_same(models, name, tmp_path) -> None:
    ids, mask = batch(texts([4, 9, 1]))
    models[name].save_pretrained(tmp_path)
    again = zoo.load(tmp_path)
    assert not again.training
    assert torch.equal(scores(again, ids, mask), scores(models[name], ids, mask))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "zoo.json"]


def test_a_convolution_is_torch_conv1d() -> None:
    ours = TextConvolution(6, 5, 3)
    theirs = nn.Conv1d(6, 5, 3)
    with torch.no_grad():
        theirs.weight.copy_(ours.linear.weight.view(5, 3, 6).transpose(1, 2))
        theirs.bias.copy_(ours.linear.bias)
    x = torch.randn(2, 11, 6)
    assert torch.allclose(ours(x)[:, :9], theirs(x.transpose(1, 2)).transpose(1, 2), atol=1e-6)
    centred = TextConvolution(6, 5, 3, centred=True)
    centred.load_state_dict(ours.state_dict())
    same = F.conv1d(x.transpose(1, 2), theirs.weight, theirs.bias, padding=1).transpose(1, 2)
    assert torch.allclose(centred(x), same, atol=1e-6)


def test_whole_windows_lie_in_the_text_and_a_short_text_has_one() -> None:
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])
    assert whole_windows(mask, 3).tolist() == [[1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]


def test_a_bilstm_is_torch_bidirectional_lstm_on_packed_texts() -> None:
    torch.manual_seed(0)
    ours, theirs = BiLSTM(6, 5, layers=2), nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for layer in range(2):
            for own, end in ((ours.forward_lstms[layer], ""), (ours.backward_lstms[layer], "_reverse")):
                for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(own, f"{part}_l0").copy_(getattr(theirs, f"{part}_l{layer}{end}"))
    x, mask = torch.randn(3, 8, 6), torch.tensor([[1] * 8, [1] * 3 + [0] * 5, [1] + [0] * 7])
    packed = nn.utils.rnn.pack_padded_sequence(x, mask.sum(1), batch_first=True, enforce_sorted=False)
    out, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    assert torch.allclose(ours(x, mask) * mask[..., None], out, atol=1e-6)
    assert torch.equal(turned(turned(x, mask), mask), x)


def test_ngrams_are_hashed_by_what_they_are_and_only_within_the_text() -> None:
    ids, mask = torch.tensor([[5, 6, 7, 5, 6, 0]]), torch.tensor([[1, 1, 1, 1, 1, 0]])
    rows, real = hashed(ids, mask, 2, 1009)
    assert real.tolist() == [[1, 1, 1, 1, 0, 0]]
    assert rows[0, 0] == rows[0, 3] and len(set(rows[0, :3].tolist())) == 3  # 56 again; 56, 67, 75 apart
    assert rows[0, 0] != hashed(torch.tensor([[6, 5]]), torch.ones(1, 2, dtype=torch.long), 2, 1009)[0][0, 0]
    assert int(hashed(torch.tensor([[30000, 29999, 1]]), torch.ones(1, 3, dtype=torch.long), 3, 7)[0].max()) < 7


def test_tokens_move_to_the_left_in_their_order() -> None:
    ids = torch.tensor([[0, 5, 0, 6, 7], [1, 2, 3, 0, 0]])
    mask = torch.tensor([[0, 1, 0, 1, 1], [1, 1, 1, 0, 0]])
    moved, types, real = to_the_left(ids, ids + 10, mask)
    assert moved.tolist() == [[5, 6, 7, 0, 0], [1, 2, 3, 0, 0]]
    assert real.tolist() == [[1, 1, 1, 0, 0]] * 2
    assert types[0, :3].tolist() == [15, 16, 17]


def test_text_cnn_has_the_layers_of_the_log() -> None:
    """Embedding(4762, 300), 256 filters of 2, 3 and 4, dropout 0.5, Linear(768, 10)."""
    model = zoo.build("TextCNN", 10, 4762)
    count = sum(p.numel() for p in model.parameters())
    assert count == 4762 * 300 + sum(256 * (k * 300 + 1) for k in (2, 3, 4)) + 768 * 10 + 10
    assert model.classify[0].p == 0.5


def test_text_cnn_and_bert_cnn_share_their_features(models) -> None:
    assert type(models["TextCNN"].features) is type(models["bert_CNN"].features)


def test_the_attention_of_text_rnn_att_is_a_share_of_each_real_token(models) -> None:
    model = models["TextRNN_Att"]
    ids, mask = batch(texts([4, 9, 1]))
    states = model.features.lstm(model.source(ids, mask), mask)
    weights = model.features.weights(states, mask)
    assert torch.allclose(weights.sum(1), torch.ones(3)) and bool((weights[mask == 0] == 0).all())


@pytest.mark.parametrize("per_layer", [True, False])
def test_layers_cnn_is_torch_conv2d_over_the_stacked_layers(per_layer) -> None:
    """(B, L+1, T, H) through Conv2d(L+1, L+1, (3, H)), each layer alone (groups) or all together, then the maximum."""
    torch.manual_seed(0)
    layers, width, texts_long = 4, 7, 11
    ours = LayersCNN(width, layers, filters=1, per_layer=per_layer)
    theirs = nn.Conv2d(layers, layers, (3, width), groups=layers if per_layer else 1)
    with torch.no_grad():
        for number, convolution in enumerate(ours.convolutions):
            weight = convolution.linear.weight  # (filters, 3 * what it reads)
            if per_layer:
                theirs.weight[number, 0] = weight[0].view(3, width)
                theirs.bias[number] = convolution.linear.bias[0]
            else:
                theirs.weight.copy_(weight.view(layers, 3, layers, width).permute(0, 2, 1, 3))
                theirs.bias.copy_(convolution.linear.bias)
    states = [torch.randn(2, texts_long, width) for _ in range(layers)]
    expected = theirs(torch.stack(states, dim=1)).squeeze(-1).relu().amax(dim=-1)  # (B, L+1)
    assert ours.size == layers
    assert torch.allclose(ours(states, torch.ones(2, texts_long, dtype=torch.long)), expected, atol=1e-6)


def test_pretrained_vectors_are_taken_and_may_be_frozen() -> None:
    vectors = torch.randn(V, 9)
    model = zoo.build("TextCNN", K, V, vectors=vectors, frozen=True)
    assert torch.equal(model.source.table.weight, vectors)
    assert not model.source.table.weight.requires_grad
    assert zoo.build("TextCNN", K, V, vectors=vectors).source.table.weight.requires_grad


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("TextCn", K, V), "Did you mean TextCNN"),
        (("textcnn", K, V), "Did you mean TextCNN"),
        (("BERT_CNN", K), "Did you mean bert_CNN"),
        (("Word2Vec", K, V), "It has TextCNN, TextRNN"),
        (("TextCNN", K), "needs vocab_size"),
        (("TextCNN", 1, V), "at least 2"),
        (("TextCNN", K, V, "default"), "takes no encoder"),
        (("bert_CNN", K, V), "takes its vocabulary from its encoder"),
        (("bert", K, None, 5), "a name, a folder or a BertModel"),
        (("bert", K, None, small_bert(pooler=False)), "this encoder has none"),
    ],
)
def test_what_does_not_fit_is_said(arguments, words) -> None:
    with pytest.raises(ValueError, match=words):
        zoo.build(*arguments)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("TextCNN", {"filters": 0}, "filters is 0; a whole number of at least 1 is needed"),
        ("TextCNN", {"filters": -1}, "filters is -1; a whole number"),
        ("TextCNN", {"filters": "abc"}, "filters is 'abc'; a whole number"),
        ("TextCNN", {"filters": True}, "filters is True; a whole number"),
        ("TextCNN", {"kernels": 3}, "kernels is 3; a list of whole numbers of at least 1"),
        ("TextCNN", {"kernels": [2, 0]}, r"kernels is \[2, 0\]; a list"),
        ("TextRNN", {"layers": 0}, "layers is 0; a whole number"),
        ("TextRNN", {"dropout": 1}, "dropout is 1; a number from 0 and below 1 is needed"),
        ("DPCNN", {"embedding": 2.5}, r"embedding is 2\.5; a whole number"),
        ("FastText", {"frozen": "no"}, "frozen is 'no'; True or False is needed"),
    ],
)
def test_a_value_without_sense_is_refused(name, options, words) -> None:
    with pytest.raises(ValueError, match=words):
        zoo.build(name, K, V, **options)


def test_an_unknown_option_names_those_that_there_are() -> None:
    with pytest.raises(TypeError, match="TextCNN has no option filter; it has filters, kernels, dropout"):
        zoo.build("TextCNN", K, V, filter=3)
    with pytest.raises(
        TypeError,
        match="TextRNN has no option filters; it has hidden, layers, layer_dropout, dropout, samples, embedding",
    ):
        zoo.build("TextRNN", K, V, filters=3)
    with pytest.raises(ValueError, match=r"shape .* vocabulary 53 tokens"):
        zoo.build("TextCNN", K, V, vectors=torch.zeros(9, 4))
    with pytest.raises(ValueError, match="embedding is 16, and the vectors have 9 numbers each"):
        zoo.build("TextCNN", K, V, vectors=torch.zeros(V, 9), embedding=16)
    with pytest.raises(ValueError, match="which 4 heads cannot share"):
        zoo.build("Transformer", K, V, embedding=30)


def test_wrong_inputs_are_said(models) -> None:
    ids, mask = batch(texts([4, 9]))
    with pytest.raises(ValueError, match=r"attention_mask has shape \(2, 4\)"):
        models["TextCNN"](ids, mask[:, :4])
    with pytest.raises(ValueError, match="at least one token"):
        models["TextCNN"](ids[:, :0])
    with pytest.raises(ValueError, match="3"):
        models["TextCNN"](ids, mask, labels=torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="shape"):
        models["TextCNN"](ids, mask, labels=torch.tensor([0]))


def test_a_damaged_or_missing_model_is_said(tmp_path, models) -> None:
    with pytest.raises(ModelFilesError, match=r"has no zoo\.json"):
        zoo.load(tmp_path)
    models["TextCNN"].save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:99])
    with pytest.raises(ModelFilesError, match="is damaged"):
        zoo.load(tmp_path)


@pytest.mark.parametrize("name", ["TextRNN", "TextRNN_Att", "Transformer"])
def test_the_dropout_inside_can_be_chosen_and_is_kept(name, tmp_path) -> None:
    """`dropout` is that of the last layer; the one inside could not be reached."""
    model = zoo.build(name, 3, 50, embedding=8, layer_dropout=0.25, dropout=0.75)
    inside = model.features.dropout if name == "Transformer" else model.features.lstm.dropout.p
    assert inside == 0.25 and model.classify[0].p == 0.75
    model.save_pretrained(tmp_path)
    again = zoo.load(tmp_path).features
    assert (again.dropout if name == "Transformer" else again.lstm.dropout.p) == 0.25
