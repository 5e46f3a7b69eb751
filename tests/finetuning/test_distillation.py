"""A small model that learns from trained ones: what the teachers say, changed copies of texts, and the loss."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from course_lib import training
from course_lib.__main__ import main
from course_lib.datasets import Example, write_dataset
from course_lib.errors import DataError, TrainingError
from course_lib.finetuning import FineTuned, fine_tune, train_classifier
from course_lib.finetuning.distillation import altered, rewritten, soft_labels
from course_lib.heads import BertForMaskedLM

QUICK = {"epochs": 10, "batch_size": 4, "learning_rate": 1e-2, "precision": "float32", "minimum": 1}
SMALL = {"filters": 8, "embedding": 16, "dropout": 0.0}


@pytest.fixture(scope="module")
def teacher(data):
    return train_classifier("FastText", data["classification"], **{**QUICK, "epochs": 30})


def test_a_student_learns_what_only_its_teacher_knows(teacher, data) -> None:
    """Every label is wrong, and counts for a tenth; the teacher is right."""
    known = data["classification"]
    wrong = [dataclasses.replace(one, label=1 - one.label) for one in known.train]
    scores = soft_labels([teacher], known.train)
    taught = train_classifier(
        "TextCNN",
        known.replace(train=type(known.train)(wrong)),
        teacher_logits=scores,
        options=SMALL,
        **{**QUICK, "epochs": 40},
    )
    assert taught.evaluate(list(known.test)).scores["accuracy"] == 1


def test_unlabelled_texts_get_the_label_that_the_teachers_hold_likeliest(teacher, data) -> None:
    known = data["classification"]
    lone = known.replace(train=type(known.train)([known.train[0], known.train[-1]]))
    unlabelled = [Example(one.text, 0) for one in known.train]
    alone = train_classifier("TextCNN", lone, options=SMALL, **QUICK).evaluate(list(known.test))
    longer = {**QUICK, "epochs": 40}
    taught = train_classifier("TextCNN", lone, teachers=[teacher], unlabelled=unlabelled, options=SMALL, **longer)
    assert taught.evaluate(list(known.test)).scores["accuracy"] == 1 > alone.scores["accuracy"]
    assert taught.data.train is lone.train, "the data that was given, without the texts that the teachers labelled"


def test_soft_labels_are_the_mean_of_the_teachers_probabilities(teacher, data) -> None:
    known = data["classification"]
    other = train_classifier("FastText", known, seed=1, **{**QUICK, "epochs": 1})
    both = soft_labels([teacher, other], known.train).exp()
    each = [soft_labels([one], known.train).exp() for one in (teacher, other)]
    assert both.shape == (len(known.train), 2)
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)
    torch.testing.assert_close(both.sum(dim=1), torch.ones(len(known.train)))
    (said,) = teacher.predict([known.train[3].text], probabilities=True)
    assert each[0][3].tolist() == pytest.approx(list(said["probabilities"].values()), abs=1e-6)


@pytest.mark.parametrize("unit", ["characters", "words"])
def test_altered_copies_hold_the_texts_own_units_and_none_is_empty(unit) -> None:
    between = "" if unit == "characters" else " "
    texts = ["abcdefghij", "klmno", "p"] if unit == "characters" else ["a b c d e f g h", "i j", "k"]
    units = {one for text in texts for one in (text if unit == "characters" else text.split())}
    made = altered([Example(text, n) for n, text in enumerate(texts)], 50, seed=3, unit=unit)
    assert len(made) == 150 and [one.label for one in made] == [0, 1, 2] * 50
    for one in made:
        parts = list(one.text) if unit == "characters" else one.text.split()
        assert parts and between.join(parts) == one.text and set(parts) <= units
    assert len({one.text for one in made}) > 30
    again = altered([Example(text, n) for n, text in enumerate(texts)], 50, seed=3, unit=unit)
    assert again == made


@pytest.mark.filterwarnings("ignore:.*is new.*")
def test_rewritten_copies_keep_what_was_not_hidden(tiny, tokenizer) -> None:
    model = BertForMaskedLM.from_pretrained(tiny)
    texts = ["Rain falls on Turin", "Nobody: knows  why!", "sun", ""]
    examples = [Example(text, 1) for text in texts]
    assert rewritten(examples, model, tokenizer, share=0.0) == examples
    made = rewritten(examples, model, tokenizer, copies=20, share=0.5, seed=1)
    assert len(made) == 80 and made == rewritten(examples, model, tokenizer, copies=20, share=0.5, seed=1)
    assert made[:4] != examples and all(one.text == "" for one in made[3::4])
    first = {one.text.split()[-1] for one in made[::4] if one.text}
    assert "Turin" in first and len(first) > 3, "about half of the copies still end as the text did"
    assert not any("[MASK]" in one.text or "##" in one.text for one in made)
    assert not model.training


def test_what_does_not_fit_is_a_sentence(teacher, data, tiny) -> None:
    known = data["classification"]
    for teachers, words in (
        ("m_bert", "teachers is a str; a list"),
        (["m_bert"], "A teacher is a str; a trained classifier"),
    ):
        with pytest.raises(DataError, match=words):
            train_classifier("TextCNN", known, teachers=teachers)
    with pytest.raises(DataError, match="unlabelled takes Example, and number 0 is a str"):
        train_classifier("TextCNN", known, teachers=[teacher], unlabelled=["a text"])
    with pytest.raises(DataError, match="data is a str; a data set is needed"):
        train_classifier("TextCNN", "data/headlines_en")
    with pytest.raises(DataError, match="There is no teacher"):
        soft_labels([], known.train)
    tags = fine_tune(data["tags"], tiny, epochs=1, batch_size=3)
    with pytest.raises(DataError, match="A teacher is for tags"):
        soft_labels([tags], known.train)
    turned = train_classifier("FastText", known.replace(labels=("sport", "weather")), **{**QUICK, "epochs": 1})
    with pytest.raises(DataError, match="labels weather, sport, and another sport, weather"):
        soft_labels([turned, teacher], known.train)
    with pytest.raises(DataError, match=r"The teacher has the labels sport, weather"):
        train_classifier("TextCNN", known, teachers=[turned])
    with pytest.raises(ValueError, match="unlabelled examples need teachers"):
        train_classifier("TextCNN", known, unlabelled=list(known.train))
    with pytest.raises(ValueError, match=r"shape \(2, 2\); a row for each of the 12 training examples"):
        train_classifier("TextCNN", known, teacher_logits=torch.zeros(2, 2))
    with pytest.raises(ValueError, match="temperature is 0"):
        train_classifier("TextCNN", known, teachers=[teacher], temperature=0)
    with pytest.raises(ValueError, match="without class_weights"):
        train_classifier("TextCNN", known, teachers=[teacher], class_weights=True)


def test_the_loss_is_the_papers() -> None:
    logits = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]], requires_grad=True)
    teacher_logits, labels = torch.tensor([[1.0, 2.0, -3.0], [0.0, 0.0, 4.0]]), torch.tensor([0, 2])
    batch = {"labels": labels, "teacher_logits": teacher_logits}

    class Answer:
        pass

    answer = Answer()
    answer.logits = logits
    for temperature, share in ((1.0, 1.0), (3.0, 0.9), (2.0, 0.0)):
        p, q = (teacher_logits / temperature).softmax(1), (logits / temperature).softmax(1)
        apart = (p * (p / q).log()).sum(dim=1).mean()
        right = -logits.log_softmax(1)[[0, 1], labels].mean()
        found = training.Distillation(temperature, share)(answer, batch)
        torch.testing.assert_close(found, (1 - share) * right + share * temperature**2 * apart)
    # a student that says what its teacher says has nothing to learn, and an ignored row does not count
    answer.logits = teacher_logits.clone().requires_grad_()
    loss = training.Distillation(2.0, 1.0)
    assert loss(answer, batch).item() == pytest.approx(0, abs=1e-6)
    half = {"labels": torch.tensor([0, -100]), "teacher_logits": teacher_logits}
    answer.logits = logits
    one = {"labels": labels[:1], "teacher_logits": teacher_logits[:1]}
    whole = loss(answer, half)
    answer.logits = logits[:1]
    torch.testing.assert_close(whole, loss(answer, one))
    assert loss.items(half) == 1
    torch.testing.assert_close(loss(answer, {"labels": labels[:1]}), -logits[:1].log_softmax(1)[0, 0])


def test_on_the_command_line(teacher, data, tmp_path, capsys) -> None:
    known = data["classification"]
    write_dataset(known, tmp_path / "data")
    folder = teacher.save(tmp_path / "teacher")
    texts = tmp_path / "texts.txt"
    texts.write_text("sun and rain\n\ngoal and goal\n", encoding="utf-8")
    command = ["train", "--model", "TextCNN", "--data", str(tmp_path / "data"), "--epochs", "1", "--minimum", "1"]
    taught = ["--teacher", str(folder), "--unlabelled", str(texts), "--temperature", "3"]
    assert main([*command, "--output", str(tmp_path / "student"), *taught]) == 0
    assert FineTuned.load(tmp_path / "student").predict("rain and sun")
    card = json.loads((tmp_path / "student" / "fine_tuning.json").read_text(encoding="utf-8"))
    assert card["examples"]["train"] == len(known.train) + 2
    capsys.readouterr()
    empty = tmp_path / "empty.txt"
    empty.write_text("\n", encoding="utf-8")
    for more, said in (
        (["--temperature", "3"], "go with --teacher"),
        (["--temperature", "0"], "go with --teacher"),
        (["--teacher", str(tmp_path / "nowhere")], "is no folder"),
        (["--teacher", str(folder), "--unlabelled", str(tmp_path / "none.txt")], "cannot be read"),
        (["--teacher", str(folder), "--unlabelled", str(empty)], "has no text"),
    ):
        assert main([*command, "--output", str(tmp_path / "no"), *more]) != 0
        assert said in capsys.readouterr().err and not (tmp_path / "no").exists()
    assert main([*command[:2], "all", *command[3:], "--output", str(tmp_path / "no"), "--teacher", str(folder)]) != 0
    assert "name a model" in capsys.readouterr().err


def test_a_run_does_not_go_on_with_another_teacher(teacher, data, tmp_path) -> None:
    known = data["classification"]
    other = train_classifier("FastText", known, **{**QUICK, "epochs": 1})
    chosen = {"options": SMALL, "output": tmp_path / "student", **{**QUICK, "epochs": 2}}
    train_classifier("TextCNN", known, teachers=[teacher], **chosen)
    train_classifier("TextCNN", known, teachers=[teacher], resume=True, **chosen)
    with pytest.raises(TrainingError, match=r"began with other choices \(weights of the teachers: "):
        train_classifier("TextCNN", known, teachers=[other], resume=True, **chosen)
