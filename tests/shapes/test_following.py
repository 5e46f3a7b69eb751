"""Values followed through callers and encoders, and the repairs that come of it."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from course_lib import shapes
from course_lib.shapes.diagnosis import Diagnosis


def bert(**settings: int) -> nn.Module:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 13}
    return BertModel(BertConfig(vocab_size=31, max_position_embeddings=17, **{**sizes, **settings})).eval()


IDS = torch.randint(1, 31, (5, 7), generator=torch.Generator().manual_seed(0))


def explained(run, *args) -> Diagnosis:
    with pytest.raises(Exception) as caught:
        run(*args)
    return shapes.explain_error(caught.value)


def tried(diagnosis: Diagnosis) -> list[str]:
    return [fix.code for fix in diagnosis.fixes if fix.verified]


def meanings(diagnosis: Diagnosis) -> dict[str, tuple[str, ...]]:
    return {operand.name: operand.meaning for operand in diagnosis.tensors}


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bert = bert()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out = self.bert(ids)
        return torch.cat([out.last_hidden_state[:, 0], out.pooler_output], dim=1)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(), nn.Linear(12, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        features = self.encoder(ids)
        return self.head(features)


def test_a_size_is_followed_into_another_modules_forward() -> None:
    diagnosis = explained(Classifier(), IDS)
    assert "24 = 12 + 12, joined by cat(dim=1)" in diagnosis.origins
    assert tried(diagnosis)[0] == "self.head = nn.Linear(24, 3)"


class Head(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, torch.zeros(3, 11))


class Turned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bert, self.head = bert(), Head()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.bert(ids).last_hidden_state
        x = x.permute(1, 0, 2)
        return self.head(x)


def test_an_argument_keeps_what_its_caller_made_of_it() -> None:
    assert meanings(explained(Turned(), IDS))["x"] == ("tokens", "batch", "hidden (read as features)")


def test_the_classes_of_every_token_are_told_from_the_classes_of_a_text() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert, self.out = bert(), nn.Linear(12, 3)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.out(self.bert(ids)[0])

    def step() -> torch.Tensor:
        tagger = Tagger()
        scores = tagger(IDS)
        return F.cross_entropy(scores, torch.zeros(5, dtype=torch.long))

    assert meanings(explained(step))["scores"][1] == "tokens (read as classes)"


def test_the_weights_of_attention_stand_on_the_left() -> None:
    value, attn = torch.zeros(2, 3, 7, 5), torch.zeros(2, 3, 7, 7)
    assert tried(explained(lambda: torch.matmul(value, attn))) == ["torch.matmul(attn, value)"]


class Decoding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 3, 3, 2, 1), nn.Conv2d(3, 5, 3, 2, 1))
        self.up = nn.Sequential(nn.ConvTranspose2d(5, 3, 3, 2, 1), nn.ConvTranspose2d(3, 1, 3, 2, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(self.down(x))


def test_all_paddings_of_a_decoder_are_set_together_even_from_a_loop() -> None:
    def train() -> None:
        net = Decoding()
        for image in [torch.zeros(2, 1, 12, 12)]:
            out = net(image)
            F.mse_loss(out, image)
            F.binary_cross_entropy(out, image)

    first = explained(train).fixes[0]
    assert first.verified and first.code.count("output_padding=1") == 2
    net = Decoding()
    exec(first.code, {"net": net, "nn": nn})
    assert net(torch.zeros(2, 1, 12, 12)).shape == (2, 1, 12, 12)


def test_a_view_that_splits_inputs_becomes_flatten_and_the_layer_follows() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            x = x.view(-1, 16)
            return self.fc(x)

    def step() -> torch.Tensor:
        net = Net()
        out = net(torch.zeros(5, 1, 6, 6))
        return F.cross_entropy(out, torch.zeros(5, dtype=torch.long))

    diagnosis = explained(step)
    assert tried(diagnosis)[0] == "x = x.flatten(1)\nnet.fc = nn.Linear(144, 3)"
    assert "x.view(-1, 16)" in diagnosis.fixes[0].why


def test_the_second_to_last_state_means_two_directions() -> None:
    def states() -> torch.Tensor:
        gru = nn.GRU(3, 5, batch_first=True)
        _, hidden = gru(torch.zeros(2, 7, 3))
        return torch.cat((hidden[-2], hidden[-1]), dim=1)

    assert tried(explained(states))[0] == "gru = nn.GRU(3, 5, batch_first=True, bidirectional=True)"


def test_a_pooled_vector_needs_no_index_for_its_tokens() -> None:
    def first() -> torch.Tensor:
        pooled = bert()(IDS).pooler_output
        return pooled[:, 0, :]

    diagnosis = explained(first)
    assert tried(diagnosis)[0] == "pooled" and "one vector for each text already" in diagnosis.cause


def test_an_lstm_over_pooled_vectors_is_given_the_tokens() -> None:
    def last() -> torch.Tensor:
        model, lstm = bert(), nn.LSTM(12, 5, batch_first=True)
        x = model(IDS)[1]
        out, _ = lstm(x)
        return out[:, -1, :]

    diagnosis = explained(last)
    assert "the 5 tokens of one text" in diagnosis.cause
    assert tried(diagnosis) == ["x = model(IDS)[0]"]


def test_the_examples_of_a_batch_are_joined_as_the_data_set_gives_them() -> None:
    examples = [{"ids": torch.arange(n), "label": n} for n in (3, 5)]

    def load() -> None:
        for _ in DataLoader(examples, batch_size=2):
            pass

    (code,) = tried(explained(load))
    joined = eval(code.removeprefix("collate_fn="), {"torch": torch})(examples)
    assert joined["ids"].shape == (2, 5) and joined["label"].tolist() == [3, 5]


def test_predictions_that_only_the_last_batch_left_are_found() -> None:
    def score() -> float:
        from sklearn.metrics import f1_score

        y_true, y_pred = [], []
        for batch in ([0, 1, 1], [1, 0, 1], [0]):
            y_true.extend(batch)
            y_pred = list(batch)
        return f1_score(y_true, y_pred)

    diagnosis = explained(score)
    assert "it holds the last batch alone" in diagnosis.cause
    assert diagnosis.fixes[0].code == "y_pred.extend(list(batch))" and not diagnosis.fixes[0].verified


class Positions(nn.Module):
    def __init__(self, d_model: int, max_len: int = 11) -> None:
        super().__init__()
        self.register_buffer("pe", torch.zeros(1, max_len, d_model))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.pe[:, : x.size(1)]


def test_a_table_of_positions_is_made_long_enough() -> None:
    x = torch.zeros(2, 13, 6)
    code = tried(explained(Positions(6), x))[0]
    assert code == "Positions(6, max_len=13)"
    assert eval(code)(x).shape == x.shape


def test_ids_from_one_on_are_kept_where_zero_is_padding() -> None:
    table = nn.Embedding(5, 3, padding_idx=0)
    assert tried(explained(lambda: table(torch.tensor([[1, 5]])))) == ["table = nn.Embedding(6, 3)"]


def test_a_list_of_ids_becomes_a_batch_of_one() -> None:
    ids, model = [3, 1, 4], bert()
    assert tried(explained(lambda: model(ids))) == ["model(torch.tensor([ids]))"]


def test_words_are_told_from_tokens_by_their_numbers() -> None:
    def step() -> torch.Tensor:
        logits, labels = torch.zeros(3, 9, 4), torch.zeros(3, 7, dtype=torch.long)
        return F.cross_entropy(logits.view(-1, 4), labels.view(-1))

    diagnosis = explained(step)
    assert "A text has 9 scores and 7 labels." in diagnosis.cause
    assert "F.pad(labels, (1, 1), value=-100).view(-1)" in tried(diagnosis)[0]


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (lambda: F.cosine_similarity(A, B), "F.cosine_similarity(A[:, None], B[None], dim=-1)"),
        (lambda: F.triplet_margin_loss(T7, T5, T9), "F.triplet_margin_loss(T7.mean(dim=1), T5.mean(dim=1), T9.mean(dim=1))"),
        (lambda: F.binary_cross_entropy(HIDDEN, STATE), None),
        (lambda: F.mse_loss(HIDDEN, STATE), "F.mse_loss(nn.Linear(3, 5)(HIDDEN), STATE)"),
    ],
)  # fmt: skip
def test_other_sizes_are_compared_in_the_way_that_was_meant(run, code: str | None) -> None:
    found = tried(explained(run))
    assert found[:1] == [code] if code else not any("Linear" in text for text in found)


A, B = torch.zeros(4, 3), torch.zeros(6, 3)
T7, T5, T9 = torch.zeros(2, 7, 3), torch.zeros(2, 5, 3), torch.zeros(2, 9, 3)
HIDDEN, STATE = torch.zeros(2, 3), torch.zeros(2, 5)


def test_no_repair_is_offered_that_is_no_python() -> None:
    def step() -> torch.Tensor:
        out, shortcut = torch.zeros(2, 6, 4, 4), nn.Identity()
        out += shortcut(torch.zeros(2, 3, 8, 8))
        return out

    for fix in explained(step).fixes:
        compile(fix.code, "<fix>", "exec")
        assert not re.match(r".*\)\(out\) \+=", fix.code)
