"""course_lib.datasets.hub: names, tables of the library `datasets`, examples mapped to disk. No test uses the network."""

import datasets
import pytest

from course_lib.datasets import (
    Answer,
    Choice,
    Document,
    Example,
    Question,
    TaggedSentence,
    from_hub,
    hub,
    load_dataset,
    map_to_disk,
)
from course_lib.errors import DataError

ENDINGS = (".txt", ".csv")
CLASSES = datasets.ClassLabel(names=["neg", "pos"])


def table(rows, **features):
    made = datasets.Dataset.from_list(rows)
    return made.cast(datasets.Features({**made.features, **features})) if features else made


def test_the_library_is_not_hidden_by_the_folder_of_these_tests():
    assert hasattr(datasets, "load_dataset")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("glue", "nyu-mll/glue", "nyu-mll/glue:sst2", "conll2003")),
        *((name, False) for name in ("data.csv", "a/b/c", "here/none", "here", "../x", "/x/y", "")),
    ],
)
def test_a_name_is_what_nothing_local_can_be(tmp_path, monkeypatch, name, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert hub.is_name(name, ENDINGS) is expected
    assert hub.is_name(tmp_path / "glue", ENDINGS) is False


@pytest.mark.parametrize("error", [ConnectionError("no route"), FileNotFoundError("not there\nsecond line")])
def test_without_a_network_one_sentence_says_so_with_the_nearest_folder(tmp_path, monkeypatch, error):
    def fail(*arguments, **more):
        raise error

    monkeypatch.chdir(tmp_path)
    (tmp_path / "headlines").mkdir()
    monkeypatch.setattr(datasets, "load_dataset", fail)
    monkeypatch.setattr(hub, "_reachable", lambda address: False)
    with pytest.raises(DataError) as caught:
        load_dataset("headlnies")
    message = str(caught.value)
    assert message.startswith("There is no folder or file 'headlnies' here (did you mean 'headlines'?)")
    assert "could not be read" in message
    assert "second line" not in message


def test_where_the_hub_cannot_be_reached_only_local_copies_are_looked_at_and_the_setting_is_put_back(monkeypatch):
    seen = []

    def fail(*arguments, **more):
        seen.append(datasets.config.HF_HUB_OFFLINE)
        raise ConnectionError("no")

    before = datasets.config.HF_HUB_OFFLINE
    monkeypatch.setattr(datasets, "load_dataset", fail)
    for reachable in (False, True):
        monkeypatch.setattr(hub, "_reachable", lambda address, reachable=reachable: reachable)
        with pytest.raises(DataError):
            load_dataset("no-owner/no-name")
    assert seen == [True, before]
    assert before == datasets.config.HF_HUB_OFFLINE


def test_a_configuration_follows_a_colon(monkeypatch):
    calls = []
    split = {"train": table([{"text": "a", "label": 1}, {"text": "b", "label": 0}], label=CLASSES)}
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: calls.append((a, k)) or split)
    monkeypatch.setattr(hub, "_reachable", lambda address: False)
    assert load_dataset("owner/name:config").labels == ("neg", "pos")
    load_dataset("name")
    assert [call[0] for call in calls] == [("owner/name", "config"), ("name", None)]


def test_rows_become_examples_that_stay_on_the_disk():
    rows = [{"sentence1": f"a{i}", "sentence2": "b", "idx": i, "label": i % 2} for i in range(7)]
    dataset = from_hub("name", {"train": table(rows, label=CLASSES), "validation": table(rows[:3], label=CLASSES)})
    assert (dataset.task, dataset.labels) == ("classification", ("neg", "pos"))
    assert isinstance(dataset.train, hub.Mapped)
    assert len(dataset.train) == 7
    assert dataset.train[5] == dataset.train[-2] == Example("a5", 1, "b")
    assert dataset.train[2:4] == [Example("a2", 0, "b"), Example("a3", 1, "b")]
    assert dataset.train.label_ids == [0, 1, 0, 1, 0, 1, 0]
    assert dataset.dev == dataset.train[:3]
    assert dataset.test == []
    assert dataset.notes == ("Columns of 'name, train' that were not read: idx.",)
    with pytest.raises(IndexError, match="no example 7"):
        dataset.train[7]


def test_parts_without_labels_are_left_out_and_it_is_said():
    rows = [{"text": "a", "label": 0}, {"text": "b", "label": 1}]
    unknown = [{"text": "c", "label": -1}]
    dataset = from_hub("name", {"train": table(rows), "test": table(unknown), "extra": table(rows)})
    assert dataset.test == []
    assert "The part test of 'name' has no labels (-1 everywhere) and was left out." in dataset.notes
    assert "Parts of 'name' that were not read: extra." in dataset.notes
    with pytest.raises(DataError, match="has the parts extra"):
        from_hub("name", {"extra": table(rows)})


def test_a_wrong_row_is_named():
    rows = [{"text": "a", "label": 0}, {"text": " ", "label": 1}]
    with pytest.raises(DataError, match=r"^Row 1 of 'name, train' has an empty text"):
        from_hub("name", {"train": table(rows)})


def test_tags_with_names_in_the_features_are_read():
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-X", "I-X"]))
    rows = [{"tokens": ["a", "b"], "ner_tags": [1, 2]}]
    dataset = from_hub("name", {"train": table(rows, ner_tags=tags)})
    assert (dataset.task, dataset.labels) == ("tags", ("O", "B-X", "I-X"))
    assert list(dataset.train) == [TaggedSentence(("a", "b"), (1, 2))]


def test_questions_choices_and_texts_are_recognised():
    question = {"id": "1", "question": "q", "context": "c d", "answers": {"text": ["d"], "answer_start": [2]}}
    assert from_hub("n", {"train": table([question])}).train[0] == Question("1", "q", "c d", (Answer("d", 2),))
    choice = {"question": "q", "choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": "B"}
    assert from_hub("n", {"train": table([choice])}).train[0] == Choice("q", ("x", "y"), 1)
    assert from_hub("n", {"train": table([{"text": "one\ntwo"}])}).train[0] == Document(("one", "two"))


def test_a_stream_of_the_hub_is_gone_through_again_and_again():
    rows = table([{"text": f"t{i}", "label": i % 2} for i in range(5)], label=CLASSES).to_iterable_dataset()
    dataset = from_hub("name", {"train": rows}, streaming=True)
    assert [e.text for e in dataset.train] == [e.text for e in dataset.train] == [f"t{i}" for i in range(5)]


@pytest.mark.parametrize(
    "examples",
    [
        [Example("a", 1), Example("b", 0, "c")],
        [Example("a", 0.5), Example("b", 2.0)],
        [Example("a", (0, 2)), Example("b", ())],
        [TaggedSentence(("a", "b"), (0, 1))],
        [Question("1", "q", "c", (Answer("c", 0),)), Question("2", "q", "c", ())],
        [Choice("q", ("x", "y"), 1, "c")],
        [Document(("a", "b")), Document(("c",))],
    ],
)
def test_examples_mapped_to_disk_are_what_they_were(tmp_path, examples):
    mapped = map_to_disk(iter(examples), tmp_path / "x.arrow")
    assert list(mapped) == examples
    assert mapped[-1] == examples[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["x.arrow"]


def test_nothing_and_mixed_examples_are_not_mapped(tmp_path):
    with pytest.raises(DataError, match="no examples"):
        map_to_disk([], tmp_path / "x.arrow")
    with pytest.raises(DataError, match="got Example and Document"):
        map_to_disk([Example("a", 1), Document(("b",))], tmp_path / "x.arrow")
    assert list(tmp_path.iterdir()) == []
