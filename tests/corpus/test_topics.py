"""course_lib.corpus.topics: which library wrote this?"""

import importlib.util

import pytest

from course_lib.corpus import PACKAGES, TOPICS, docstring_topics
from course_lib.errors import DataError


def sources(name, subject, modules=60, each=12):
    """Modules of made-up sentences in which the package speaks of itself, and of its subject."""
    return {
        f"m{m}.py": "\n".join(
            f'def f{f}():\n    """The {name} function of module {"abcdefghij"[m % 10] * (m // 10 + 1)} calls {name}.core.run '
            f"and alpha.beta for the {'klmnopqrst'[f % 10] * (f // 10 + 1)} of the {name.upper()} values that are "
            f'given to the {subject} by the user of it all."""'
            for f in range(each)
        )
        for m in range(modules)
    }


@pytest.fixture
def three(install):
    for name, subject in (("alpha", "red"), ("beta", "green"), ("gamma", "blue")):
        install(name, sources(name, subject))
    return ["alpha", "beta", "gamma"]


def test_every_class_has_as_many_texts_in_every_part(three):
    dataset = docstring_topics(three, 100)
    assert (dataset.labels, dataset.task) == (("alpha", "beta", "gamma"), "classification")
    assert [[part.labels.count(i) for i in range(3)] for part in dataset.splits.values()] == [
        [80] * 3,
        [10] * 3,
        [10] * 3,
    ]
    assert dataset.notes == ("Versions: alpha 1.0, beta 1.0, gamma 1.0.",)
    assert all(20 <= len(text.split()) <= 80 for part in dataset.splits.values() for text in part.texts)


def test_no_text_names_a_package_and_no_two_are_the_same(three):
    dataset = docstring_topics(three, 100)
    texts = [text for part in dataset.splits.values() for text in part.texts]
    assert len(set(texts)) == 300
    assert not any(name in text.lower() for name in three for text in texts)
    assert texts[0].startswith("The library function of module ")
    assert " calls library and library for the " in texts[0]  # what stands behind the name with a dot goes too
    assert "library" not in docstring_topics(three, 100, mask="").train[0].text


def test_the_texts_of_a_module_are_all_in_one_part(three):
    parts = [{(t.split()[5], label) for t, label in zip(p.texts, p.labels, strict=True)} for p in
             docstring_topics(three, 100).splits.values()]  # fmt: skip
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


def test_the_seed_chooses(three):
    one, again, other = (docstring_topics(three, 50, seed=seed) for seed in (0, 0, 1))
    assert one.train == again.train != other.train


def test_too_few_texts_are_said(three):
    with pytest.raises(DataError, match=r"^The docstrings of alpha have \d+ texts for train and 8,000 are wanted; ask"):
        docstring_topics(three, 10_000)
    with pytest.raises(ValueError, match="leaves no text for dev"):
        docstring_topics(three, 3)
    with pytest.raises(DataError, match="two packages or more"):
        docstring_topics(["alpha"])
    with pytest.raises(ValueError, match="sum to 1"):
        docstring_topics(three, 50, shares=(1, 1, 1))


def test_what_two_libraries_say_in_the_same_words_is_no_example(install):
    for name in ("alpha", "beta"):
        install(name, sources(name, "same"))
    with pytest.raises(DataError, match="The docstrings of beta have 0 texts for train"):
        docstring_topics(["alpha", "beta"], 100)


def test_ten_classes_by_default_all_of_them_installed_with_the_course():
    assert len(TOPICS) == 10
    assert set(TOPICS) <= set(PACKAGES)
    assert all(name == "python" or importlib.util.find_spec(name) for name in TOPICS)


def test_with_real_packages_words_alone_tell_much_and_not_all():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    dataset = docstring_topics(["tornado", "prompt_toolkit", "fsspec", "werkzeug"], per_class=60, shares=(0.7, 0.3, 0))
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, max_iter=300))
    model.fit(dataset.train.texts, dataset.train.labels)
    assert 0.4 < model.score(dataset.dev.texts, dataset.dev.labels) < 0.95  # one in four by chance
    assert not any(name in text.lower() for name in dataset.labels for text in dataset.train.texts)
