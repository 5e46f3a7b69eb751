import copy
import math
import random

import numpy as np
import pytest
import torch
import transformers
from tiny import Answer, H, K, N, Tiny, batches, columns, same, weights
from torch import nn
from torch.nn import functional as F

from course_lib import heads
from course_lib.batching import Batches
from course_lib.config import BertConfig
from course_lib.errors import TrainingError
from course_lib.training import evaluate, fit, set_seed


def trained(seed: int = 0, **options):
    set_seed(seed)
    model = Tiny()
    return model, fit(model, batches(shuffle=seed), Batches(columns(13, seed=1), 5), **options)


# ------------------------------------------------------------------------------------------------ what it does


def test_it_equals_the_same_loop_written_by_hand() -> None:
    torch.manual_seed(3)
    mine = Tiny()
    theirs = copy.deepcopy(mine)
    torch.manual_seed(4)
    report = fit(mine, batches(), epochs=3, learning_rate=0.05, weight_decay=0.1)
    torch.manual_seed(4)
    groups = [
        {"params": [theirs.linear.weight], "weight_decay": 0.1},
        {"params": [theirs.linear.bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.05, fused=True)
    expected = []
    data = batches()
    for _ in range(3):
        theirs.train()
        total = 0.0
        for batch in data:
            loss = theirs(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch["labels"])
        expected.append(total / N)
    assert same(weights(mine), weights(theirs))
    assert [epoch.train_loss for epoch in report.epochs] == expected
    assert [epoch.step for epoch in report.epochs] == [4, 8, 12] and [e.number for e in report.epochs] == [1, 2, 3]


def test_the_same_seed_gives_the_same_result_and_another_seed_another() -> None:
    first, again, other = (trained(seed, epochs=2) for seed in (1, 1, 2))
    assert same(weights(first[0]), weights(again[0]))
    assert [e.train_loss for e in first[1].epochs] == [e.train_loss for e in again[1].epochs]
    assert not same(weights(first[0]), weights(other[0]))


def test_set_seed_starts_all_three_sources_of_random_numbers() -> None:
    def draws() -> tuple:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    set_seed(5)
    first = draws()
    set_seed(5)
    assert draws() == first
    set_seed(2**33)  # more than NumPy takes
    assert draws() != first


def test_it_learns() -> None:
    _, report = trained(epochs=40, learning_rate=0.1)
    assert report.kept.dev.accuracy > 0.7 > report.epochs[0].dev.accuracy


def test_the_last_smaller_batch_is_trained_on_and_counted() -> None:
    torch.manual_seed(0)
    model = Tiny(dropout=0.0)
    start = copy.deepcopy(model)
    # a learning rate too small to move anything: the mean over the epoch is that of the start
    report = fit(model, batches(size=7), epochs=1, learning_rate=1e-12)
    with torch.no_grad():
        assert report.epochs[0].train_loss == pytest.approx(start(**columns()).loss.item(), abs=1e-6)
    assert report.epochs[0].step == 4


def test_the_weights_of_the_best_epoch_on_dev_are_kept() -> None:
    model, report = trained(epochs=8, learning_rate=1.0)
    best = max(report.epochs, key=lambda e: (e.dev.accuracy, -e.dev.loss))
    assert report.kept is best and best is not report.epochs[-1]  # this run gets worse at the end
    found = evaluate(model, Batches(columns(13, seed=1), 5))
    assert torch.equal(found.logits, best.dev.logits) and found.loss == best.dev.loss


def test_of_equally_right_epochs_the_one_with_the_lower_loss_is_kept() -> None:
    _, report = trained(epochs=30, learning_rate=0.1)
    top = [e for e in report.epochs if e.dev.accuracy == report.kept.dev.accuracy]
    assert len(top) > 1 and report.kept.dev.loss == min(e.dev.loss for e in top)


def test_without_dev_the_last_epoch_is_kept() -> None:
    model = Tiny()
    report = fit(model, batches(), epochs=3)
    assert report.kept is report.epochs[-1] and report.kept.dev is None


def test_frozen_parameters_stay_and_the_others_move() -> None:
    model = Tiny()
    model.linear.bias.requires_grad_(False)
    before = weights(model)
    fit(model, batches(), epochs=2, weight_decay=0.5)
    assert torch.equal(model.linear.bias, before[1]) and not torch.equal(model.linear.weight, before[0])
    assert model.linear.bias.grad is None


def test_training_is_with_dropout_and_afterwards_the_model_is_in_evaluation_mode() -> None:
    modes = []
    model = Tiny().eval()  # as from_pretrained leaves one
    model.register_forward_hook(lambda module, *_: modes.append(module.training))
    fit(model, batches(size=N), Batches(columns(), N), epochs=2)
    assert modes == [True, False, True, False] and not model.training


def test_evaluation_leaves_the_mode_the_weights_and_the_gradients_as_they_were() -> None:
    model = Tiny().train()
    before = weights(model)
    found = evaluate(model, batches(shuffle=None))
    assert model.training and same(weights(model), before)
    assert all(p.grad is None for p in model.parameters()) and not found.logits.requires_grad


def test_evaluation_counts_every_example_alike_whatever_the_batches() -> None:
    model = Tiny()
    whole, pieces = (evaluate(model, Batches(columns(), size)) for size in (N, 4))
    assert pieces.loss == pytest.approx(whole.loss, abs=1e-6)
    assert pieces.logits.shape == (N, K) and torch.allclose(pieces.logits, whole.logits, atol=1e-6)
    assert torch.equal(pieces.labels, columns()["labels"])
    expected = (whole.logits.argmax(1) == columns()["labels"]).float().mean().item()
    assert pieces.accuracy == pytest.approx(expected)


def test_ignored_labels_do_not_count_in_the_accuracy() -> None:
    class Echo(Tiny):
        def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Answer:
            return Answer(self.linear.weight.sum() * 0, F.one_hot(labels.clamp(min=0), K).float())

    data = {"x": torch.zeros(4, H), "labels": torch.tensor([0, -100, 2, -100])}
    assert evaluate(Echo(), [data]).accuracy == 1.0


class Regression(Tiny):
    def __init__(self) -> None:
        super().__init__(classes=1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Answer:
        logits = self.linear(x)
        return Answer(F.mse_loss(logits.view_as(labels), labels), logits)


class NextToken(Tiny):
    """Scores at a token are for the token after it: comparing them with the labels as they stand would be wrong."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Answer:
        logits = self.linear(x).unsqueeze(1).expand(-1, labels.shape[1], -1)  # (n, T, K)
        return Answer(F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()), logits)


class AnyOfK(Tiny):
    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Answer:
        logits = self.linear(x)
        return Answer(F.binary_cross_entropy_with_logits(logits, labels), logits)


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        (Regression, torch.tensor([0.5, -1.0, 2.0])),
        (Regression, torch.tensor([[0.5], [-1.0], [2.0]])),
        (AnyOfK, torch.ones(K, K)),
        (NextToken, torch.tensor([[0, 1, 1, 1]] * K)),
    ],
    ids=["a number", "a number in a column", "any of K classes, as many texts as classes", "one a token"],
)
def test_where_labels_are_no_class_numbers_the_lower_loss_is_kept_and_accuracy_says_so(kind, labels) -> None:
    data = [{"x": columns(K)["x"], "labels": labels}]
    torch.manual_seed(0)
    report = fit(kind(), data, data, epochs=4, learning_rate=0.01)
    assert report.kept.dev.loss == min(e.dev.loss for e in report.epochs)
    assert report.kept is report.epochs[-1]  # these all learn
    with pytest.raises(ValueError, match="class number"):
        _ = report.kept.dev.accuracy


def test_labels_in_a_column_are_compared_one_by_one() -> None:
    class Column(Tiny):
        def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Answer:
            return super().forward(x, labels.view(-1))

    model, data = Column(), columns()
    flat = evaluate(model, [data]).accuracy
    assert evaluate(model, [{**data, "labels": data["labels"].view(-1, 1)}]).accuracy == flat


# ------------------------------------------------------------------------------------------------ models


SIZES = {
    "vocab_size": 29, "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 17,
    "max_position_embeddings": 11, "num_labels": K,
}  # fmt: skip


def texts() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(2)
    labels = torch.arange(N) % K
    ids = torch.randint(K, 29, (N, 7), generator=draw)
    ids[:, 1] = labels  # the label can be read off a token
    mask = torch.ones_like(ids)
    mask[::2, 5:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.mark.parametrize(
    "build",
    [
        lambda: heads.BertForSequenceClassification(BertConfig.from_dict(SIZES)),
        lambda: transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES)),
    ],
    ids=["ours", "transformers"],
)
def test_whole_models_train_whosever_they_are(build) -> None:
    set_seed(0)
    model = build()
    report = fit(model, Batches(texts(), 6, shuffle=0), Batches(texts(), 6), epochs=12, learning_rate=0.01)
    assert report.kept.dev.accuracy > 0.8
    assert torch.equal(evaluate(model, Batches(texts(), 6)).logits, report.kept.dev.logits)


def test_tied_weights_are_still_tied_after_the_best_ones_were_put_back() -> None:
    torch.manual_seed(0)
    model = heads.BertForMaskedLM(BertConfig.from_dict(SIZES))
    ids = texts()["input_ids"]
    report = fit(model, [{"input_ids": ids, "labels": ids}], [{"input_ids": ids, "labels": ids}], epochs=2)
    table = model.bert.embeddings.word_embeddings.weight
    assert model.cls.predictions.decoder.weight is table and report.kept.dev.logits.shape == (N, 7, 29)


# ------------------------------------------------------------------------------------------------ when it goes wrong


class Interrupted:
    """Batches during which somebody presses stop, the third time through."""

    def __init__(self) -> None:
        self.times = 0

    def __iter__(self):
        self.times += 1
        for number, batch in enumerate(batches()):
            if self.times == 3 and number == 1:
                raise KeyboardInterrupt
            yield batch


def test_an_interrupt_leaves_the_best_weights_so_far() -> None:
    set_seed(0)
    model, dev = Tiny(), Batches(columns(13, seed=1), 5)
    reference = copy.deepcopy(model)
    set_seed(0)
    with pytest.raises(KeyboardInterrupt):
        fit(model, Interrupted(), dev, epochs=5)
    assert not model.training
    set_seed(0)

    class Whole(Interrupted):
        def __iter__(self):
            yield from batches()

    fit(reference, Whole(), dev, epochs=2)
    assert same(weights(model), weights(reference))


def test_a_loss_that_is_no_number_stops_the_training_with_the_weights_from_before() -> None:
    model = Tiny()
    before = weights(model)
    bad = [columns(), {**columns(), "x": torch.full((N, H), math.nan)}]
    with pytest.raises(TrainingError, match=r"The loss is nan at step 2; try a smaller learning rate"):
        fit(model, bad, epochs=1)
    assert same(weights(model), before) and not model.training


def test_weights_that_break_in_the_last_step_of_an_epoch_are_not_kept() -> None:
    """The training loss is from before the step; only dev sees what the step has done."""
    model = Tiny()
    model.linear.weight.register_hook(lambda grad: grad * math.inf)
    before = weights(model)
    with pytest.raises(TrainingError, match=r"loss on dev is nan after epoch 1"):
        fit(model, [columns()], [columns()], epochs=1)
    assert same(weights(model), before)


def test_a_generator_is_named_when_it_is_exhausted() -> None:
    model = Tiny()
    with pytest.raises(ValueError, match="A generator can be gone through once"):
        fit(model, (batch for batch in batches()), epochs=2)
    with pytest.raises(ValueError, match="A generator can be gone through once"):
        fit(model, batches(), (batch for batch in batches()), epochs=2)
    with pytest.raises(ValueError, match="no batches to evaluate"):
        evaluate(model, [])


def test_batches_without_labels_are_named() -> None:
    unlabelled = [{"x": columns()["x"]}]
    with pytest.raises(TrainingError, match="A batch of x has no labels"):
        fit(Tiny(), unlabelled)
    with pytest.raises(TrainingError, match="A batch of x has no labels"):
        evaluate(Tiny(), unlabelled)


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"learning_rate": 0.0}, {"learning_rate": math.nan}, {"weight_decay": -0.1}],
)
def test_numbers_that_make_no_sense_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="at least 1, more than 0"):
        fit(Tiny(), batches(), **options)


def test_a_model_without_anything_to_train_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to train"):
        fit(Tiny().requires_grad_(False), batches())


def test_a_model_without_parameters_can_be_evaluated() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> Answer:
            logits = torch.zeros(len(x), K)
            return Answer(F.cross_entropy(logits, labels), logits)

    assert evaluate(Constant(), [columns()]).loss == pytest.approx(math.log(K), abs=1e-6)
