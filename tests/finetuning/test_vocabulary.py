"""Training the rows that occur gives the weights of training the whole table."""

import copy

import pytest
import torch
from torch import nn

from course_lib import heads, training
from course_lib.batching import PaddedBatches
from course_lib.config import BertConfig
from course_lib.finetuning.vocabulary import OccurringRows, rows_that_occur

V = 97
CONFIG = {
    "vocab_size": V, "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 17,
    "max_position_embeddings": 16, "hidden_dropout_prob": 0.1,
}  # fmt: skip


def columns(seed: int = 0, top: int = 40) -> dict:
    draw = torch.Generator().manual_seed(seed)
    ids = [torch.randint(1, top, (n,), generator=draw).tolist() for n in (3, 5, 7, 7, 2, 9, 4)]
    return {
        "input_ids": ids,
        "attention_mask": [[1] * len(r) for r in ids],
        "labels": torch.tensor([0, 1, 0, 1, 1, 0, 1]),
    }


def model(kind=heads.BertForSequenceClassification) -> nn.Module:
    torch.manual_seed(0)
    return kind(BertConfig.from_dict(CONFIG))


def train(net: nn.Module, decay: float = 0.0) -> training.Training:
    torch.manual_seed(5)
    data = PaddedBatches(columns(), size=3, shuffle=1)
    dev = PaddedBatches(columns(seed=2, top=V), size=3)
    return training.fit(net, data, dev, epochs=3, learning_rate=0.01, weight_decay=decay, clip=0.5, metric="loss")


def test_the_weights_are_those_of_the_dense_table() -> None:
    dense, few = model(), model()
    expected = train(dense)
    with rows_that_occur(few, [columns()]) as rows:
        assert rows.rows.shape == (len({i for r in columns()["input_ids"] for i in r}), 12)
        found = train(few)
    assert [s.loss for s in found.steps] == pytest.approx([s.loss for s in expected.steps], abs=1e-6)
    assert [r.scores["loss"] for r in found.records] == pytest.approx(
        [r.scores["loss"] for r in expected.records], abs=1e-6
    )
    one, other = dense.state_dict(), few.state_dict()
    assert list(one) == list(other)
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_afterwards_the_model_is_as_before_but_for_what_it_learned() -> None:
    net = model()
    table = net.bert.embeddings.word_embeddings
    before = table.weight.detach().clone()
    with rows_that_occur(net, [columns()]):
        assert isinstance(net.bert.embeddings.word_embeddings, OccurringRows)
        train(net)
    assert net.bert.embeddings.word_embeddings is table and table.weight.requires_grad
    changed = (table.weight != before).any(dim=1).nonzero().flatten().tolist()
    assert set(changed) == {i for r in columns()["input_ids"] for i in r}


def test_nothing_holds_the_table_afterwards() -> None:
    import gc
    import weakref

    net = model()
    gc.disable()
    try:
        with rows_that_occur(net, [columns()]):
            pass
        table = weakref.ref(net.bert.embeddings.word_embeddings)
        net.bert.embeddings.word_embeddings = nn.Embedding(2, 2)
        assert table() is None
    finally:
        gc.enable()


def test_also_after_an_error() -> None:
    net = model()
    table = net.bert.embeddings.word_embeddings
    with pytest.raises(RuntimeError, match="stop"), rows_that_occur(net, [columns()]) as rows:
        with torch.no_grad():
            rows.rows.fill_(3.0)
        raise RuntimeError("stop")
    assert net.bert.embeddings.word_embeddings is table and bool(
        (table.weight[columns()["input_ids"][0][0]] == 3).all()
    )


def test_its_state_dict_is_that_of_the_whole_table_both_ways() -> None:
    net, other = model(), model()
    with rows_that_occur(net, [columns()]) as rows:
        state = copy.deepcopy(net.state_dict())
        assert list(state) == list(other.state_dict())
        with torch.no_grad():
            rows.rows.add_(1.0)
        other.load_state_dict(net.state_dict())
        assert torch.equal(other.bert.embeddings.word_embeddings.weight, net.bert.embeddings.word_embeddings.weight)
        net.load_state_dict(state)
        assert torch.equal(
            net.state_dict()["bert.embeddings.word_embeddings.weight"], state["bert.embeddings.word_embeddings.weight"]
        )


def test_words_that_do_not_learn_are_read_from_the_table() -> None:
    net, plain = model().eval(), model().eval()
    ids = torch.arange(1, 13)[None] * 8 % V
    with rows_that_occur(net, [columns()]):
        assert torch.equal(net(ids).logits, plain(ids).logits)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (heads.BertForMaskedLM, columns()),
        (heads.BertForSequenceClassification, columns(top=V) | {"input_ids": [list(range(V))]}),
    ],
    ids=["a table that is a decoder too", "all words occur"],
)
def test_where_nothing_is_won_nothing_is_changed(kind, given) -> None:
    net = model(kind)
    with rows_that_occur(net, [given]) as rows:
        assert rows is None and type(net.bert.embeddings.word_embeddings) is nn.Embedding


def test_a_frozen_table_and_a_model_without_one_are_left_alone() -> None:
    net = model()
    net.bert.embeddings.requires_grad_(False)
    for one in (net, nn.Linear(2, 2)):
        with rows_that_occur(one, [columns()]) as rows:
            assert rows is None


def test_choices_are_looked_through() -> None:
    net = model(heads.BertForMultipleChoice)
    with rows_that_occur(net, [{"input_ids": [[[1, 2], [3]], [[4], [2, 5]]]}]) as rows:
        assert len(rows.rows) == 5
