"""Each task from a data set to predictions: it learns, is scored, is saved, and says the same after loading."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from course_lib import metrics
from course_lib.datasets import Choice, Document, Example, Examples, TaggedSentence, load_dataset
from course_lib.errors import DataError, ModelFilesError, TrainingError
from course_lib.finetuning import TASKS, FineTuned, Reading, fine_tune
from course_lib.notebooks import ROOT

RECIPE = {"epochs": 30, "learning_rate": 0.004, "warmup": 0.0, "precision": "float32", "schedule": "constant",
          "batch_size": 4, "progress": False}  # fmt: skip
INPUTS = {
    "classification": ["rain and sun", "match and goal"],
    "multi-label": ["rain and sun", "goal and goal"],
    "regression": [("rain", "rain"), ("rain", "sun")],
    "tags": ["Anna Bell likes rain", ["rain", "falls"]],
    "answers": [
        ("Where does the fox sleep?", "The red fox sleeps in Turin."),
        {"question": "When?", "context": "In May."},
    ],
    "choices": [{"question": "What falls?", "choices": ["rain", "a goal", "the sun"]}],
    "next-sentence": [("rain falls on the roof .", "the roof leaks .")],
    "masked-words": ["the [MASK] leaks ."],
    "next-words": ["the roof"],
}
LEARNT = {  # what learning by heart reaches at least
    "classification": ("accuracy", 1.0), "multi-label": ("micro_f1", 0.9), "regression": ("pearson", 0.85),
    "tags": ("entity_f1", 1.0), "answers": ("exact_match", 1.0), "choices": ("accuracy", 1.0),
    "next-sentence": ("accuracy", 0.8), "masked-words": ("likelihood", 0.01), "next-words": ("accuracy", 0.6),
}  # fmt: skip


@pytest.fixture(scope="module")
def tuned(tiny, data, tmp_path_factory) -> dict[str, FineTuned]:
    found = {}
    for name, task in TASKS.items():
        output = tmp_path_factory.mktemp("tuned") / name
        options = {
            **RECIPE,
            "epochs": 70 if name == "multi-label" else 40 if "words" in name or name == "regression" else 30,
        }
        found[name] = fine_tune(data[task.data], tiny, task=name, output=output, seed=1, **options)
        found[name].folder = output
    return found


@pytest.mark.parametrize("name", TASKS)
def test_it_learns_and_is_scored(tuned, name) -> None:
    metric, least = LEARNT[name]
    result = tuned[name].evaluate("train")
    found = {**result.scores, "likelihood": math.exp(-result.scores["loss"])}  # at first 1 / 30,522
    assert found[metric] >= least, result.scores
    assert tuned[name].task.metric in result.scores and math.isfinite(result.scores["loss"])
    assert str(result).startswith("loss ") and "<p>" in result._repr_html_()
    assert tuned[name].history.metric == tuned[name].task.metric


@pytest.mark.parametrize("name", TASKS)
def test_it_says_the_same_after_loading(tuned, name) -> None:
    loaded = FineTuned.load(tuned[name].folder)
    assert loaded.predict(INPUTS[name]) == tuned[name].predict(INPUTS[name])
    again = loaded.evaluate(tuned[name].data.dev)
    assert again.scores == pytest.approx(tuned[name].evaluate("dev").scores)
    assert again.scores == pytest.approx(dict(tuned[name].history.kept.scores), abs=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_predictions_are_json_with_text_label_and_score(tuned, name) -> None:
    for prediction in tuned[name].predict(INPUTS[name]):
        assert {"text", "label", "score"} <= set(prediction)
        assert json.loads(json.dumps(prediction)) == prediction


@pytest.mark.parametrize("name", [n for n in TASKS if n not in ("regression",)])
def test_what_was_learnt_is_predicted(tuned, name) -> None:
    first = tuned[name].predict(INPUTS[name])[0]
    expected = {
        "classification": "weather", "multi-label": ["rain", "sun"], "answers": "Turin", "choices": "rain", "next-sentence": "follows",
        "masked-words": first["label"], "next-words": first["label"],
    }  # fmt: skip
    if name == "tags":
        assert [(n["type"], n["text"], n["start"], n["end"]) for n in first["label"]] == [("PER", "Anna Bell", 0, 9)]
    else:
        assert first["label"] == expected[name]
    if name in ("masked-words", "next-words"):
        assert first["label"]


def test_the_tokens_behind_the_answer_for_a_pair_begin_at_its_score(tuned) -> None:
    """The first text loses a token: what is left of it is still told from the second by its token types."""
    found = tuned["next-sentence"]
    pair = ("rain falls on the roof", "the roof leaks")
    (one,) = found.predict(pair, why=True)
    (without,) = found.predict(("falls on the roof", pair[1]), probabilities=True)
    fall = one["score"] - without["probabilities"][one["label"]]
    assert one["why"][0]["token"] == "rain" and one["why"][0]["effect"] == pytest.approx(fall, abs=1e-5)


def test_an_unknown_word_of_either_text_is_named_as_it_was_written(tuned) -> None:
    (one,) = tuned["next-sentence"].predict(("rain \U0001f99c", "\U0001f98a sun"), why=True)
    assert [each["token"] for each in one["why"]] == ["rain", "\U0001f99c", "\U0001f98a", "sun"]


@pytest.mark.parametrize("name", TASKS)
def test_predictions_do_not_depend_on_their_neighbours(tuned, name) -> None:
    def close(one, other):
        return {k: v for k, v in one.items() if not isinstance(v, float | list | dict)} == {
            k: v for k, v in other.items() if not isinstance(v, float | list | dict)
        } and (isinstance(one["score"], dict) or one["score"] == pytest.approx(other["score"], abs=1e-5))

    given = INPUTS[name][0]
    alone = tuned[name].predict([given])[0]
    longer = {
        "classification": ["goal " * 30, "a b"], "multi-label": ["goal " * 30, "a b"], "regression": [("a " * 20, "b")],
        "tags": ["word " * 30], "answers": [("Who?", "word " * 90)],
        "choices": [{"question": "Q?", "choices": ["a", "b"]}, {"question": "Q " * 20, "choices": ["a", "b " * 9, "c"]}],
        "next-sentence": [("a " * 20, "b")], "masked-words": ["[MASK] " + "word " * 30], "next-words": ["word " * 20],
    }[name]  # fmt: skip
    if name == "choices":
        longer = longer[1:]  # one batch has one number of choices
    assert close(tuned[name].predict([*longer, given, *longer])[len(longer)], alone)


@pytest.mark.parametrize(
    ("given", "text", "name", "start"),
    [
        ('In "Rome", today.', 'In "Rome", today.', "Rome", 4),
        (" 住在Rome\tNow", " 住在Rome\tNow", "Rome", 3),
        (["In", '"', "Rome", "安", "娜"], 'In " Rome安娜', "Rome", 5),
    ],
)
def test_names_are_where_they_stand_in_the_text_that_was_given(tokenizer, given, text, name, start) -> None:
    """To be read, a text is split at punctuation; a name's characters count in what came all the same."""
    task = TASKS["tags"](("O", "B-PER", "I-PER"), Reading())
    prepared = task.prepare(task.examples([given]), tokenizer, labelled=False)
    logits = torch.zeros(1, len(prepared.columns["input_ids"][0]), 3)
    logits[..., 0] = 1
    place = prepared.examples[0].words.index(name)
    logits[0, prepared.more["alignment"].word_ids[0].index(place), 1] = 2
    (one,) = task.predictions({"logits": logits}, prepared)
    found = [(n["text"], n["start"], n["end"]) for n in one["label"]]
    assert one["text"] == text and found == [(name, start, start + len(name))]


def test_the_folder_is_one_that_transformers_pipelines_read(tuned) -> None:
    transformers.utils.logging.disable_progress_bar()
    pipeline = transformers.pipeline
    ours = tuned["classification"].predict("rain and sun")[0]
    theirs = pipeline("text-classification", str(tuned["classification"].folder))("rain and sun")[0]
    assert theirs["label"] == ours["label"] and theirs["score"] == pytest.approx(ours["score"], abs=1e-5)
    found = pipeline("token-classification", str(tuned["tags"].folder), aggregation_strategy="first")(
        "Anna Bell likes rain"
    )
    assert [(n["entity_group"], n["start"], n["end"]) for n in found] == [("PER", 0, 9)]
    words = pipeline("fill-mask", str(tuned["masked-words"].folder))("the [MASK] leaks .")
    ours = tuned["masked-words"].predict("the [MASK] leaks .")[0]
    assert words[0]["token_str"] == ours["label"] and words[0]["score"] == pytest.approx(ours["score"], abs=1e-5)


def test_the_folder_has_the_model_its_card_and_its_history_and_nothing_else(tuned) -> None:
    folder = tuned["classification"].folder
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "fine_tuning.json", "history.csv", "tokenizer.json"} <= names
    assert not any(name.endswith(".part") or name == "checkpoints" for name in names)
    card = json.loads((folder / "fine_tuning.json").read_text(encoding="utf-8"))
    assert card["task"] == "classification" and card["labels"] == ["weather", "sport"] and card["seed"] == 1
    assert card["examples"] == {"train": 12, "dev": 12, "test": 12} and card["kept"]["step"] > 0


def test_the_same_seed_gives_the_same_model(tiny, data, tuned) -> None:
    again = fine_tune(data["tags"], tiny, seed=1, **RECIPE)
    one, other = again.model.state_dict(), tuned["tags"].model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_heads_of_transformers_are_fine_tuned_too(tiny, data, tokenizer) -> None:
    model = transformers.BertForSequenceClassification.from_pretrained(tiny, num_labels=2)
    found = fine_tune(data["classification"], model, tokenizer=tokenizer, **{**RECIPE, "epochs": 20})
    assert found.evaluate("train").scores["accuracy"] == 1.0


def test_the_head_alone_can_learn(tiny, data) -> None:
    found = fine_tune(data["classification"], tiny, train_layers=0, **{**RECIPE, "epochs": 2})
    trained = [name for name, p in found.model.named_parameters() if p.requires_grad]
    assert trained and all(name.startswith(("classifier", "bert.pooler")) for name in trained)


def test_rare_classes_can_count_alike(tiny, data) -> None:
    plain = fine_tune(data["classification"], tiny, seed=3, **{**RECIPE, "epochs": 1})
    weighted = fine_tune(data["classification"], tiny, seed=3, class_weights=True, **{**RECIPE, "epochs": 1})
    assert plain.history.steps[0].loss != weighted.history.steps[0].loss
    with pytest.raises(ValueError, match="class_weights are for classification; the task is tags"):
        fine_tune(data["tags"], tiny, class_weights=True, **RECIPE)


def test_a_run_that_was_cut_off_goes_on(tiny, data, tmp_path) -> None:
    from course_lib.training import Watcher

    class Stops(Watcher):
        def step(self, step):
            if step.step == 5:
                raise KeyboardInterrupt

    options = {**RECIPE, "epochs": 3, "seed": 2}
    whole = fine_tune(data["classification"], tiny, output=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(data["classification"], tiny, output=tmp_path / "cut", watchers=[Stops()], **options)
    assert (tmp_path / "cut" / "model.safetensors").is_file()
    again = fine_tune(data["classification"], tiny, output=tmp_path / "cut", resume=True, **options)
    one, other = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    done = fine_tune(
        data["classification"], tiny, output=tmp_path / "cut", resume=True, **options
    )  # nothing left to do
    assert done.history is None and done.evaluate("test").scores["accuracy"] >= 0
    with pytest.raises(TrainingError, match="has a trained model already"):
        fine_tune(data["classification"], tiny, output=tmp_path / "cut", **options)


def test_a_run_goes_on_with_the_model_and_the_data_it_began_with(tiny, data, tmp_path) -> None:
    """An English run, asked to go on with Chinese data, trained on it and bore its name."""
    from course_lib.training import Watcher

    class Stops(Watcher):
        def step(self, step):
            raise KeyboardInterrupt

    known, cut = data["classification"], tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        fine_tune(known, tiny, output=cut, watchers=[Stops()], **RECIPE)
    changed = [dataclasses.replace(example, text=example.text + "!") for example in known.train]
    other = known.replace(train=type(known.train)(changed), folder="elsewhere")
    again = {"output": cut, "resume": True, **RECIPE}
    for _ in range(2):  # a run that was cut off, and then a finished one
        with pytest.raises(TrainingError, match=r"\(data: .*, not elsewhere; contents: .*, not .*\): go on with the"):
            fine_tune(other, tiny, **again)
        with pytest.raises(TrainingError, match=r"\(seed: 0, not 2\)"):
            fine_tune(known, tiny, **{**again, "seed": 2})
        tuned = fine_tune(known.replace(folder="moved"), tiny, **again)
    assert tuned.history is None
    with pytest.raises(TrainingError, match=r"\(model: .*tiny, not default\)"):
        fine_tune(known, "default", **again)
    with pytest.raises(TrainingError, match=r"epochs: \d+, not 77"):
        fine_tune(known, tiny, **{**again, "epochs": 77})


def test_an_old_folder_that_does_not_say_what_it_was_made_from_is_taken(tiny, data, tmp_path) -> None:
    known, again = data["classification"], {"output": tmp_path / "out", "resume": True, **RECIPE, "epochs": 1}
    fine_tune(known, tiny, **again)
    card = tmp_path / "out" / "fine_tuning.json"
    said = json.loads(card.read_text(encoding="utf-8"))
    del said["made_from"]
    card.write_text(json.dumps(said), encoding="utf-8")
    assert fine_tune(known, tiny, **{**again, "seed": 9}).history is None
    with pytest.raises(TrainingError, match=r"labels: \['weather', 'sport'\], not \['a', 'b'\]"):
        fine_tune(known.replace(labels=("a", "b")), tiny, **again)


# ------------------------------------------------------------------------------------------------ streams


def test_a_stream_is_trained_on_without_being_held(tiny, data, tmp_path) -> None:
    from course_lib.datasets import load_dataset, write_dataset

    write_dataset(data["classification"], tmp_path / "data")
    stream = load_dataset(tmp_path / "data", streaming=True)
    found = fine_tune(stream, tiny, **{**RECIPE, "steps": 60})
    assert found.evaluate("train").scores["accuracy"] == 1.0
    with pytest.raises(ValueError, match="train does not say how many batches it has"):
        fine_tune(stream, tiny, **{**RECIPE, "schedule": "linear"})
    with pytest.raises(ValueError, match="a stream is not held"):
        fine_tune(stream, tiny, class_weights=True, **{**RECIPE, "steps": 2})


def test_every_example_of_a_stream_comes_once_each_time_in_another_order() -> None:
    from course_lib.batching import Batches
    from course_lib.finetuning.streams import StreamedBatches

    held = []

    def batches(some, seed):
        held.append(len(some))
        return Batches({"labels": torch.tensor(some)}, 3, seed)

    def order(stream):
        return [i for batch in stream for i in batch["labels"].tolist()]

    stream = StreamedBatches(range(23), batches, shuffle=4, buffer=10)
    first, second = order(stream), order(stream)
    assert sorted(first) == sorted(second) == list(range(23)) and first != second and max(held) == 10
    again = StreamedBatches(range(23), batches, shuffle=4, buffer=10)
    state = again.state_dict()
    assert order(again) == first
    again.load_state_dict(state)
    assert order(again) == first and order(again) == second
    assert order(StreamedBatches(range(23), batches, shuffle=None, buffer=10)) == list(range(23))
    with pytest.raises(ValueError, match="buffer is 0"):
        StreamedBatches(range(3), batches, None, buffer=0)


SETS = sorted(path.name for path in (ROOT / "data").iterdir() if path.is_dir() and not path.name.startswith("mini_"))


@pytest.mark.filterwarnings("ignore::course_lib.finetuning.languages.LanguageWarning")  # the Chinese sets
@pytest.mark.parametrize("name", SETS)
def test_each_set_of_the_course_goes_from_its_folder_to_a_model_and_to_predictions(tiny, tmp_path, name) -> None:
    read = load_dataset(ROOT / "data" / name)
    some = read.replace(**{part: Examples(list(getattr(read, part))[:64]) for part in ("train", "dev", "test")})
    tuned = fine_tune(some, tiny, output=tmp_path / "out", steps=1, batch_size=2, progress=False)
    loaded = FineTuned.load(tmp_path / "out")
    assert loaded.evaluate("test", data=some).scores == pytest.approx(tuned.evaluate("test").scores, nan_ok=True)
    given = [("rain", "sun")] if tuned.task.form == "pair" else INPUTS[tuned.task.name]
    assert len(loaded.predict(given)) == len(given)


def test_a_set_with_some_of_the_labels_in_another_order_is_scored_by_their_names(tuned, data) -> None:
    for name in ("classification", "multi-label", "tags"):
        theirs, model = data[name], tuned[name]
        turned = tuple(reversed(theirs.labels))
        number = {old: len(turned) - 1 - old for old in range(len(turned))}
        if name == "tags":
            examples = [dataclasses.replace(e, tags=tuple(number[t] for t in e.tags)) for e in theirs.test]
        elif name == "multi-label":
            examples = [dataclasses.replace(e, label=tuple(number[i] for i in e.label)) for e in theirs.test]
        else:
            examples = [dataclasses.replace(e, label=number[e.label]) for e in theirs.test]
        other = theirs.replace(labels=turned, test=Examples(examples))
        assert model.evaluate("test", data=other).scores == model.evaluate("test").scores
    sport = Examples([Example("match and goal", 0)])
    few = data["classification"].replace(labels=("sport",), test=sport)
    found = tuned["classification"].evaluate("test", data=few)
    assert found.scores["accuracy"] == 1 and found.examples[0].label == 1
    unknown = data["classification"].replace(labels=("sport", "art"))
    with pytest.raises(DataError, match="has the label art, and the model knows weather, sport: rename"):
        tuned["classification"].evaluate("test", data=unknown)
    with pytest.raises(DataError, match="examples came: give one of the two"):
        tuned["classification"].evaluate(sport, data=few)


def _points_at_cls(model: torch.nn.Module, given: tuple, answer: object) -> None:
    for scores in (answer.start_logits, answer.end_logits):
        scores[:, 0] = 99.0


@pytest.mark.parametrize(("taught", "says_it"), [(3, True), (2, False)])  # the third question has no answer
def test_no_answer_is_said_by_who_was_taught_it_in_evaluation_as_in_prediction(
    tiny, data, tmp_path, taught, says_it
) -> None:
    """What decides is train, not the questions at hand; and the card keeps it."""
    whole = data["answers"]
    fine_tune(whole.replace(train=whole.train[:taught], dev=()), tiny, output=tmp_path, steps=1, progress=False)
    tuned = FineTuned.load(tmp_path)
    tuned.model.register_forward_hook(_points_at_cls)
    questions = [q for q in whole.train if q.answers]
    predicted = {q.id: p["label"] for q, p in zip(questions, tuned.predict(_asked(questions)), strict=True)}
    assert all((text == "") == says_it for text in predicted.values())
    evaluated = tuned.evaluate(questions).scores
    assert evaluated["answer_f1"] == metrics.answer_scores(predicted, questions, version="1.1").f1


def _asked(questions: list) -> list[tuple[str, str]]:
    return [(question.question, question.context) for question in questions]


# ------------------------------------------------------------------------------------------------ long texts


def test_more_tokens_than_positions_are_refused_before_anything_is_written(tiny, data, tmp_path) -> None:
    for task in ("classification", "answers"):
        with pytest.raises(
            ValueError, match="max_tokens is 65, and the model has positions for 64 tokens: give at most 64"
        ):
            fine_tune(data[task], tiny, output=tmp_path / "out", reading=Reading(max_tokens=65), steps=1)
    assert not (tmp_path / "out").exists()


def test_what_is_cut_is_said_and_follows_the_choice(tiny, data, tokenizer) -> None:
    task = TASKS["classification"](("a", "b"), Reading(max_tokens=8, cut="tail"))
    prepared = task.prepare([Example("one two three four five six seven eight", 0), Example("one", 1)], tokenizer)
    assert prepared.notes == ["1 of 2 texts are longer than 8 tokens and were cut."]
    assert tokenizer.decode(prepared.columns["input_ids"][0][1:-1]) == "three four five six seven eight"


def test_texts_without_a_word_and_of_100000_characters_are_read(tuned) -> None:
    long = "rain and sun " * 8000
    found = tuned["classification"].predict(["", "   ", long])
    assert [p["text"] for p in found] == ["", "   ", long] and all(0 < p["score"] <= 1 for p in found)
    assert tuned["tags"].predict([["rain"] * 5000])[0]["tags"].count("O") >= 4900
    assert tuned["answers"].predict([("Where?", "word " * 3000)])[0]["score"] > 0


# ------------------------------------------------------------------------------------------------ bad input


def test_a_second_text_is_taken_where_nobody_knows_what_the_model_was_trained_on(tuned, tmp_path) -> None:
    """As of models that were saved before the card said it, and of those that were trained on texts and pairs."""
    folder = tmp_path / "old"
    shutil.copytree(tuned["classification"].folder, folder)
    card = json.loads((folder / "fine_tuning.json").read_text(encoding="utf-8"))
    assert card.pop("form") == "text"
    (folder / "fine_tuning.json").write_text(json.dumps(card), encoding="utf-8")
    old = FineTuned.load(folder)
    assert [one.get("pair") for one in old.predict(["rain", ("rain", "sun")])] == [None, "sun"]
    assert old.task.form_of([Example("rain", 0), Example("rain", 0, "sun")]) is None


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("classification", [3], "Input 0 is an int; a text is expected"),
        ("classification", ["a", {"pair": "b"}], "Input 1 has no text"),
        (
            "classification",
            ["a\ud800"],
            r"Input 0 has a text with half a character \(.ud800 at place 1\) as text; take",
        ),
        ("choices", [("What?", ["a", "\udcff"])], r"Input 0 has a text with half a character .* among its choices"),
        ("tags", ["Anna \ud800"], r"Input 0 has a text with half a character \(.ud800 at place 5\); take that out"),
        ("tags", [["Anna", "\ud800"]], "Input 0 has a text with half a character"),
        ("answers", [("Where?", "\ud800")], "Input 0 has a text with half a character .* as context"),
        ("next-words", ["\ud800"], "Input 0 has a text with half a character"),
        ("classification", [{"text": None}], "Input 0 has no text"),
        ("classification", [{"text": ["a", "b"]}], "Input 0 has a list as text; a text is expected"),
        ("classification", [("a", "b", "c")], "Input 0 has 3 parts; no more than text and pair can be read"),
        (
            "classification",
            ["a", ("a", "b")],
            "Input 1 has a second text, and this model was trained on single texts; g",
        ),
        (
            "regression",
            [("a", "b"), "a"],
            "Input 1 has one text, and this model was trained on pairs of texts; give both",
        ),
        ("masked-words", [("[MASK]", "b")], "Input 0 has 2 parts; no more than text can be read"),
        ("choices", [{"question": "What?", "choices": {"a": "b", "c": "d"}}], "Input 0 needs choices, a list"),
        ("classification", ["a"] * 520 + [5], "Input 520 is an int"),
        ("masked-words", ["[MASK]"] * 520 + ["none"], r"Input 520 has no \[MASK\]"),
        ("classification", [{"text": 4}], "Input 0 has an int as text; a text is expected"),
        ("answers", ["Where?"], "Input 0 has no context; a dictionary with question and context is expected"),
        ("choices", [("What?", ["one"])], "Input 0 needs choices, a list of at least two texts"),
        ("choices", ["What?"], "Input 0 has no choices"),
        ("next-sentence", ["one"], "Input 0 has no pair"),
        ("tags", [""], "Input 0 has no words"),
        ("tags", [[1, 2]], "Input 0 is no sentence"),
        ("masked-words", ["no gap"], r"Input 0 has no \[MASK\]"),
        ("masked-words", ["[MASK]", "a " * 90 + "[MASK]"], r"Input 1 has no \[MASK\] among the first 64 tokens"),
        ("next-words", ["a", "a " * 90], r"Input 1 has 91 tokens with \[CLS\], and this model has positions for 64"),
        (
            "choices",
            [{"question": "What?", "choices": ["a", "a " * 61]}],
            "has a choice of 61 tokens, and beside its qu",
        ),
        (
            "choices",
            [{"question": "a " * 90, "choices": ["a", "b"], "context": "c"}],
            "Input 0 has a question that has, with a choice, 91 tokens, and beside its context at most 60 are read",
        ),
    ],
)
def test_an_input_of_another_kind_is_one_sentence(tuned, name, given, words) -> None:
    with pytest.raises(DataError, match=words):
        tuned[name].predict(given)


def test_an_input_that_just_fits_the_model_is_read(tuned) -> None:
    assert tuned["masked-words"].predict("a " * 61 + "[MASK]")[0]["label"]
    assert len(tuned["next-words"].predict("a " * 62)[0]["label"].split()) == 1
    long = {"question": "What " * 90, "choices": ["a", "a " * 60]}
    assert tuned["choices"].predict([long])[0]["label"]
    assert tuned["choices"].predict([{"question": "What", "choices": ["a", "a " * 59], "context": "b " * 90}])[0][
        "label"
    ]
    with pytest.raises(DataError, match="Example 0 has a choice of 61 tokens"):  # in training
        tuned["choices"].task.prepare([Choice("What?", ("a", "a " * 61), 0)], tuned["choices"].tokenizer)


def test_data_that_cannot_be_trained_on_is_refused_before_anything_is_written(tiny, data, tmp_path) -> None:
    one_class = data["classification"].replace(train=type(data["classification"].train)([Example("a", 0)] * 3))
    with pytest.raises(DataError, match="All 3 training examples of 'made here' have the label 'weather'"):
        fine_tune(one_class, tiny, output=tmp_path / "a")
    empty = data["classification"].replace(train=type(data["classification"].train)())
    with pytest.raises(DataError, match="has no train part"):
        fine_tune(empty, tiny, output=tmp_path / "b")
    with pytest.raises(DataError, match=r"is for tags .*, and choices needs data for choices"):
        fine_tune(data["tags"], tiny, task="choices", output=tmp_path / "c")
    with pytest.raises(ValueError, match="There is no task 'tag'"):
        fine_tune(data["tags"], tiny, task="tag", output=tmp_path / "d")
    with pytest.raises(ValueError, match="needs its tokenizer"):
        fine_tune(data["tags"], torch.nn.Linear(1, 1))
    assert not list(tmp_path.iterdir())


def test_what_is_no_data_set_and_no_example_is_one_sentence(tuned, tiny, data) -> None:
    with pytest.raises(
        DataError, match=r"data is a str; a data set is needed: give load_dataset\('data/headlines_en'\)"
    ):
        fine_tune("data/headlines_en", tiny)
    one = tuned["classification"]
    with pytest.raises(DataError, match="evaluate takes Example, and number 0 is a str: give examples of a data set"):
        one.evaluate(["a text"])
    with pytest.raises(DataError, match="evaluate takes Question, and number 1 is a Example"):
        tuned["answers"].evaluate([data["answers"].test[0], Example("a", 0)])
    pairs = [Example("rain falls .", 0, "night comes ."), Example("a goal .", 1, "night comes .")]
    assert tuned["next-sentence"].evaluate(pairs).scores["loss"] > 0
    with pytest.raises(DataError, match=r"this is a whole data set: give a part of it, such as data\.test"):
        one.evaluate(data["classification"])


@pytest.mark.parametrize(
    ("name", "label", "words"),
    [
        (
            "classification",
            "sport",
            "Example 1 has the label 'sport'; the number of a label is needed, 0 to 1, and 'sport' has 1",
        ),
        ("classification", None, r"Example 1 has the label None; the number of a label is needed, 0 to 1\."),
        ("multi-label", 1, "Example 1 has the label 1; a tuple of numbers of labels is needed"),
        ("multi-label", ("sun",), "the number of a label is needed, 0 to 2, and 'sun' has 1"),
        ("regression", "much", "Example 1 has the label 'much'; a number is needed"),
    ],
)
def test_a_label_given_by_name_is_one_sentence(tuned, data, name, label, words) -> None:
    with pytest.raises(DataError, match=words):
        tuned[name].evaluate([data[name].test[0], Example("b", label)])


def test_a_folder_without_a_model_is_one_sentence(tmp_path) -> None:
    with pytest.raises(ModelFilesError, match="is no folder; give a folder that"):
        FineTuned.load(tmp_path / "none")
    with pytest.raises(ModelFilesError, match=r"has no fine_tuning\.json"):
        FineTuned.load(tmp_path)
    (tmp_path / "fine_tuning.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelFilesError, match="is damaged"):
        FineTuned.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": None}, r"fine_tuning\.json' is damaged \(.*\); train again into another folder"),
        ({"recipe": {}}, "is damaged"),
        ({"recipe": {"precision": "float31"}}, "is damaged .*it may be float32, bfloat16, auto"),
        ({"labels": ["weather"]}, r"is damaged \(labels: 1, scores of the model: 2\)"),
        ({"labels": 3}, "is damaged"),
    ],
)
def test_a_damaged_card_is_one_sentence(tuned, tmp_path, change, words) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tuned["classification"].folder, folder)
    card = json.loads((folder / "fine_tuning.json").read_text(encoding="utf-8"))
    (folder / "fine_tuning.json").write_text(json.dumps({**card, **change}), encoding="utf-8")
    with pytest.raises(ModelFilesError, match=words):
        FineTuned.load(folder)


def test_a_metric_that_the_task_does_not_have_is_refused_before_training(tuned, tiny, data) -> None:
    for one in tuned.values():
        assert set(one.evaluate("test").scores) == set(one.task.score_names) and one.task.metric in one.task.score_names
    with pytest.raises(
        ValueError, match="metric is 'acuracy', and the evaluation gives loss, accuracy, macro_f1: choose"
    ):
        fine_tune(data["classification"], tiny, metric="acuracy", watchers=[object()])  # which a run would call


def test_a_loaded_model_has_no_data_of_its_own(tuned) -> None:
    with pytest.raises(DataError, match="has no data set with it; say which, as in evaluate\\('test', data="):
        FineTuned.load(tuned["tags"].folder).evaluate("test")
    with pytest.raises(DataError, match="no examples to evaluate"):
        tuned["tags"].evaluate([])


def test_documents_need_to_be_more_than_one_for_next_sentences(tokenizer) -> None:
    task = TASKS["next-sentence"]((), Reading())
    with pytest.raises(DataError, match="There are 1 documents; at least two"):
        task.prepare([Document(("a", "b"))], tokenizer)
    with pytest.raises(DataError, match="No document has two sentences"):
        task.prepare([Document(("a",)), Document(("b",))], tokenizer)


def test_words_that_were_cut_off_count_as_not_found(tuned, tokenizer) -> None:
    """A gold name behind the end of what the model reads is a name that it missed."""
    task = TASKS["tags"](("O", "B-PER", "I-PER"), Reading(max_tokens=4))
    prepared = task.prepare([TaggedSentence(("rain", "falls", "Anna"), (0, 0, 1))], tokenizer)
    assert "cut off: 1 word of 1 sentence" in prepared.notes[0]
    from course_lib.training import Evaluation

    logits = torch.zeros(1, 4, 3)
    logits[..., 0] = 1
    scores = task.scores(Evaluation(0.0, {"logits": logits}), prepared)
    assert scores["entity_f1"] == 0.0 and scores["tag_accuracy"] == pytest.approx(2 / 3)


# ------------------------------------------------------------------------------------------------ the disk


def test_a_full_disk_leaves_the_tokenizer_and_the_card_as_they_were(tuned, tmp_path, monkeypatch) -> None:
    known = FineTuned(tuned["tags"].model, tuned["tags"].tokenizer, tuned["tags"].task)
    known.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(folder, *rest):
        (Path(folder) / "tokenizer.json").write_bytes(b"half")
        raise Exception("No space left on device (os error 28)")  # as the tokenizers library raises it

    with monkeypatch.context() as patch:
        patch.setattr(known.tokenizer, "save_pretrained", full)
        with pytest.raises(
            TrainingError, match=r"^The tokenizer cannot be written to '.*': its disk is full .* folder\."
        ):
            known.save(tmp_path)
    real = Path.write_bytes

    def only_half(path, content):
        real(path, content[:9])
        if path.name.startswith("fine_tuning.json"):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", only_half)
        with pytest.raises(
            TrainingError, match=r"^The card of the model cannot be written to .*fine_tuning\.json': its"
        ):
            known.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
