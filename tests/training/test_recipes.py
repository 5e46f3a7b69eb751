"""The choices of a run do what they say."""

import copy
import math

import pytest
import torch
from tiny import Answer, H, K, N, Tiny, batches, columns, dev_batches, same, weights
from torch import nn
from torch.nn import functional as F

from course_lib.batching import Batches
from course_lib.errors import TrainingError
from course_lib.training import (
    FINE_TUNING,
    ModelLoss,
    Recipe,
    Watcher,
    WeightedCrossEntropy,
    class_weights,
    fit,
    set_seed,
)
from course_lib.training.history import Record, better


def run(seed: int = 0, data=None, **options):
    set_seed(seed)
    model = Tiny(dropout=0.0)
    return model, fit(model, batches() if data is None else data, dev_batches(), **options)


# ------------------------------------------------------------------------------------------------ steps and rates


def test_a_number_of_steps_in_place_of_epochs_ends_within_an_epoch_and_is_evaluated_there() -> None:
    _, report = run(steps=6)
    assert [r.step for r in report.records] == [4, 6] and report.steps[-1].step == 6


def test_steps_may_be_more_than_the_epochs_would_give() -> None:
    _, report = run(steps=13, epochs=1)
    assert [r.step for r in report.records] == [4, 8, 12, 13]


def test_the_rate_follows_the_schedule_and_its_warm_up() -> None:
    _, report = run(epochs=3, learning_rate=0.06, schedule="linear", warmup=0.25)
    rates = [step.learning_rate for step in report.steps]
    assert rates == pytest.approx([0.06 * x for x in (0, 1 / 3, 2 / 3, *(n / 9 for n in range(9, 0, -1)))])


@pytest.mark.parametrize("accumulate", [2, 3, 5])
def test_batches_that_make_one_step_together_are_as_one_batch(accumulate: int) -> None:
    """Also the ragged last ones: the mean is over all examples of the step, not of means."""
    small = Batches(columns(), 2)
    large = [
        {name: torch.cat([b[name] for b in list(small)[i : i + accumulate]]) for name in ("x", "labels")}
        for i in range(0, len(small), accumulate)
    ]
    one, first = run(data=small, epochs=2, learning_rate=0.05, accumulate=accumulate)
    other, second = run(data=large, epochs=2, learning_rate=0.05)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(weights(one), weights(other), strict=True))
    assert [s.loss for s in first.steps] == pytest.approx([s.loss for s in second.steps], abs=1e-6)


def test_labels_that_do_not_count_do_not_count_in_the_mean_of_a_step() -> None:
    data = columns()
    data["labels"][::2] = -100
    uneven = [{k: v[:3] for k, v in data.items()}, {k: v[3:] for k, v in data.items()}]
    one, _ = run(data=uneven, epochs=1, accumulate=2)
    other, _ = run(data=[data], epochs=1)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(weights(one), weights(other), strict=True))


def test_a_batch_without_any_label_moves_nothing_by_itself() -> None:
    empty = {**columns(), "labels": torch.full((N,), -100)}
    one, report = run(data=[empty, columns()], epochs=1, accumulate=2)
    other, _ = run(data=[columns()], epochs=1)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(weights(one), weights(other), strict=True))
    assert math.isfinite(report.steps[0].loss)


def test_a_gradient_is_cut_to_the_length_that_was_asked_for() -> None:
    lengths = []

    class Watched(Tiny):
        pass

    set_seed(0)
    model = Watched(dropout=0.0)
    original = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        lengths.append(torch.stack([g.norm() for g in grads]).norm().item())
        return original(self, *args, **kwargs)

    torch.optim.AdamW.step, restore = step, original
    try:
        fit(model, batches(), epochs=1, clip=0.01)
    finally:
        torch.optim.AdamW.step = restore
    assert lengths and all(length == pytest.approx(0.01, rel=1e-3) for length in lengths)


def test_in_bfloat16_the_weights_stay_in_float32_and_the_products_are_not() -> None:
    kinds = []

    class Watched(Tiny):
        def forward(self, x, labels=None):
            out = self.linear(x)
            kinds.append(out.dtype)
            return Answer(F.cross_entropy(out, labels), out)

    model = Watched()
    fit(model, batches(), epochs=1, precision="bfloat16")
    assert set(kinds) == {torch.bfloat16} and model.linear.weight.dtype == torch.float32


def test_lower_layers_learn_more_slowly_and_the_head_has_its_rate() -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(H, H) for _ in range(3))
            self.head = nn.Linear(H, K)

        def forward(self, x, labels=None):
            for layer in self.layers:
                x = torch.tanh(layer(x))
            logits = self.head(x)
            return Answer(F.cross_entropy(logits, labels), logits)

    set_seed(0)
    model = Stack()
    before = copy.deepcopy(model)
    fit(
        model, batches(), epochs=1, steps=1, learning_rate=0.01, layer_decay=0.1, head_learning_rate=0.5, weight_decay=0
    )
    moved = [
        (a - b).abs().max().item()
        for a, b in zip(
            [*(layer.weight for layer in model.layers), model.head.weight],
            [*(layer.weight for layer in before.layers), before.head.weight],
            strict=True,
        )
    ]  # Adam's first step moves every weight by about its rate
    assert moved == pytest.approx([1e-5, 1e-4, 1e-3, 0.5], rel=0.05)


# ------------------------------------------------------------------------------------------------ evaluations


def test_evaluated_every_n_steps_at_the_end_of_each_epoch_and_of_the_run() -> None:
    _, report = run(epochs=2, evaluate_every=3)
    assert [(r.step, r.end_of_epoch) for r in report.records] == [
        (3, False),
        (4, True),
        (6, False),
        (8, True),
    ]
    assert [e.step for e in report.epochs] == [4, 8]


@pytest.mark.parametrize("length", [True, False])
def test_an_epoch_that_ends_where_an_evaluation_is_due_is_evaluated_once_as_its_end(length) -> None:
    data = batches()
    if not length:

        class Unknown:
            def __iter__(self):
                return iter(data)

    _, report = run(data=data if length else Unknown(), epochs=2, evaluate_every=2)
    assert [(r.number, r.step, r.end_of_epoch) for r in report.records] == [
        (1, 2, False),
        (1, 4, True),
        (2, 6, False),
        (2, 8, True),
    ]
    _, seldom = run(epochs=2)
    assert report.steps == seldom.steps and [r.train_loss for r in report.epochs] == [
        r.train_loss for r in seldom.epochs
    ]


def test_a_run_shorter_than_the_interval_of_evaluation_is_evaluated_all_the_same() -> None:
    """A repository's log: 36 steps in all, evaluation every 100, so the best was step 0, untrained: 4.92 %."""
    _, report = run(epochs=9, evaluate_every=100, learning_rate=0.1)
    assert report.kept.step > 0 and len(report.records) == 9


def test_the_best_by_a_named_metric_is_kept_and_named() -> None:
    def score(found):
        return {"loss": found.loss, "accuracy": found.accuracy, "odd": -found.accuracy}

    _, report = run(epochs=6, learning_rate=0.5, metric="odd", score=score)
    worst = min(report.records, key=lambda r: (r.scores["accuracy"], r.scores["loss"]))
    assert report.kept is worst and f"step {worst.step} of {report.records[-1].step}" in report.chosen
    assert "odd" in report.chosen
    with pytest.raises(ValueError, match="metric is 'f1', and the evaluation gives loss, accuracy"):
        run(epochs=1, metric="f1")


def test_a_metric_chooses_nothing_where_there_is_no_dev() -> None:
    report = fit(Tiny(), batches(), epochs=1, metric="accuracy")
    assert report.metric is None and report.chosen == "Kept: step 4, the last; there was no dev to choose by."


def test_by_the_loss_less_is_better() -> None:
    _, report = run(epochs=8, learning_rate=1.0, metric="loss")
    assert report.kept.scores["loss"] == min(r.scores["loss"] for r in report.records)


@pytest.mark.parametrize(
    ("name", "new", "old", "kept"),
    [
        ("word_loss", 9.0, 4.0, False),  # a loss that the table of metrics does not list
        ("word_loss", 4.0, 9.0, True),
        ("spearman", math.nan, 0.8, False),  # all predictions alike: no correlation at all
        ("spearman", 0.1, math.nan, True),
        ("spearman", math.nan, math.nan, False),
        ("perplexity", 7.0, 8.0, True),
        ("accuracy", 0.8, 0.7, True),
    ],
)
def test_what_is_better(name, new, old, kept) -> None:
    def record(value: float) -> Record:
        return Record(1, 1, 0.0, None, {name: value, "loss": 1.0}, 0.0, True)

    assert better(record(new), record(old), name) is kept


def test_a_dev_without_a_label_that_counts_is_said() -> None:
    """It was 0 divided by 0, and the advice was a smaller learning rate."""
    nothing = [{name: x if name != "labels" else torch.full_like(x, -100) for name, x in b.items()} for b in batches()]
    with pytest.raises(TrainingError, match="dev has nothing to judge by"):
        fit(Tiny(), batches(), nothing, epochs=1)


def test_it_stops_after_so_many_evaluations_without_anything_better() -> None:
    _, report = run(epochs=60, learning_rate=1.0, patience=3)
    assert len(report.records) < 60 and report.records[-1] is report.records[report.records.index(report.kept) + 3]
    assert report.stopped.startswith(f"Stopped after step {report.records[-1].step}: 3 evaluations")
    assert report.stopped in str(report)


def test_the_history_is_a_table() -> None:
    _, report = run(epochs=2)
    assert [row["step"] for row in report.rows()] == [4, 8]
    assert report.csv().splitlines()[0] == "epoch,step,train_loss,dev_loss,dev_accuracy,seconds,kept"
    assert "<table>" in report._repr_html_() and report.chosen in report._repr_html_().replace("&#x27;", "'")
    assert sum(row["kept"] == "*" for row in report.rows()) == 1


def test_watchers_are_told_of_everything_in_turn() -> None:
    class Ear(Watcher):
        def __init__(self):
            self.heard = []

        def begin(self, steps, done):
            self.heard.append(("begin", steps, done))

        def step(self, step):
            self.heard.append(step.step)

        def evaluated(self, training):
            self.heard.append(("evaluated", training.records[-1].step))

        def end(self):
            self.heard.append("end")

    ear = Ear()
    run(epochs=2, watchers=[ear])
    assert ear.heard == [("begin", 8, 0), 1, 2, 3, 4, ("evaluated", 4), 5, 6, 7, 8, ("evaluated", 8), "end"]


def test_tensorboard_has_every_step_and_evaluation(tmp_path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from course_lib.training import TensorBoard

    _, report = run(epochs=2, watchers=[TensorBoard(tmp_path)])
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [e.step for e in events.Scalars("train/loss")] == list(range(1, 9))
    assert [e.value for e in events.Scalars("dev/accuracy")] == pytest.approx(
        [r.scores["accuracy"] for r in report.records]
    )


def test_the_progress_bar_says_loss_rate_and_scores(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # tqdm cuts its line to the width of the terminal
    run(epochs=2, progress=True)
    said = capsys.readouterr().err
    assert "8/8" in said and "loss" in said and "rate" in said and "dev accuracy" in said


# ------------------------------------------------------------------------------------------------ losses


def test_class_weights_make_every_class_count_alike() -> None:
    labels = torch.tensor([0, 0, 0, 1, -100, 3])
    found = class_weights(labels, 4)
    assert found.tolist() == pytest.approx([5 / 12, 5 / 4, 0, 5 / 4])
    with pytest.raises(ValueError, match="A label is 3, and there are 3 classes"):
        class_weights(labels, 3)


def test_a_weighted_loss_is_the_weighted_mean_also_over_parts_of_a_step() -> None:
    loss = WeightedCrossEntropy([1.0, 5.0, 0.2])
    whole = columns()
    parts = [{k: v[:4] for k, v in whole.items()}, {k: v[4:] for k, v in whole.items()}]
    one, _ = run(data=parts, epochs=1, accumulate=2, loss=loss)
    other, _ = run(data=[whole], epochs=1, loss=loss)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(weights(one), weights(other), strict=True))
    assert not same(weights(one), weights(run(data=[whole], epochs=1)[0]))
    with pytest.raises(ValueError, match="2 class weights, and a label is 2"):
        run(data=[whole], loss=WeightedCrossEntropy([1.0, 1.0]))
    with pytest.raises(ValueError, match="4 class weights and the model scores 3"):
        run(data=[whole], loss=WeightedCrossEntropy([1.0] * 4))
    with pytest.raises(ValueError, match="one number of at least 0 a class"):
        WeightedCrossEntropy([0.0, 0.0])


def test_a_next_word_loss_counts_one_label_less_a_row() -> None:
    batch = {"labels": torch.tensor([[5, 6, -100], [7, 8, 9]])}
    assert ModelLoss(shifted=True).items(batch) == 3 and ModelLoss().items(batch) == 5
    assert ModelLoss().items({"labels": torch.zeros(4, 3)}) == 4  # numbers: rows


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"accumulate": 0}, "accumulate is 0; a whole number of at least 1"),
        ({"clip": -1.0}, "clip is -1.0; a number above 0"),
        ({"patience": 1.5}, "patience is 1.5"),
        ({"layer_decay": 2.0}, "layer_decay is 2.0"),
        ({"precision": "half"}, "precision is 'half'; it may be float32, bfloat16, auto"),
        ({"schedule": "cos"}, "schedule is 'cos'"),
        ({"warmup": -1}, "warmup is -1"),
        ({"schedule": "linear", "warmup": 1000}, "1000"),
        ({"save_every": 3}, "need an output folder"),
        ({"resume": True}, "need an output folder"),
    ],
)
def test_choices_that_make_no_sense_are_refused_in_a_sentence(options, words) -> None:
    with pytest.raises(ValueError, match=words):
        run(**options)


def test_a_choice_that_does_not_exist_is_named_with_the_closest_one() -> None:
    with pytest.raises(TypeError, match=r"A recipe has no learning_rat \(did you mean learning_rate\?\)"):
        run(learning_rat=1.0)


def test_batches_without_a_length_need_a_number_of_steps_for_a_schedule() -> None:
    class Endless:
        def __iter__(self):
            return iter(batches())

    with pytest.raises(ValueError, match="does not say how many batches it has"):
        run(data=Endless(), schedule="linear")
    _, report = run(data=Endless(), schedule="linear", steps=6)
    assert len(report.steps) == 6


def test_recipes_are_changed_by_name_and_compared() -> None:
    other = FINE_TUNING.but(epochs=4, learning_rate=2e-5)
    assert other.differences(FINE_TUNING) == ["epochs: 4, not 3", "learning_rate: 2e-05, not 5e-05"]
    assert FINE_TUNING.differences(Recipe(**vars(FINE_TUNING))) == []


def test_a_live_plot_draws_each_evaluation_in_the_place_of_the_last(monkeypatch) -> None:
    import IPython.display

    from course_lib.training import LivePlot

    shown: list[str] = []

    class Handle:
        def update(self, figure) -> None:
            shown.append(f"again: {figure!r}")

    def display(figure, display_id):
        shown.append(f"first: {figure!r}")
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    _, report = run(epochs=3, watchers=[LivePlot()])
    assert [line.split(":")[0] for line in shown] == ["first", "again", "again"]
    assert f"a dashed line marks step {report.kept.step}" in shown[-1] and "the accuracy on dev" in shown[-1]


def test_a_figure_of_a_run_without_dev_shows_the_training_loss() -> None:
    report = fit(Tiny(dropout=0.0), batches(), epochs=1)
    assert "The training loss goes from" in repr(report.figure()) and "on dev" not in repr(report.figure())
