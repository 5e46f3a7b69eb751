"""The quizzes: their form, what a learner sees, what somebody who writes one is told."""

import html
import re

import pytest

from course_lib.errors import DataError
from course_lib.notebooks import SOURCES
from course_lib.quizzes import quiz, read_quiz

NOTEBOOKS = sorted(path.stem for path in SOURCES.glob("[0-9][0-9]_*.py"))
by_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS)

TWO = """# Quiz of 99_none

## What does `len(x)` give for a tensor (7, 3)?

```python
x = torch.zeros(7, 3)
```

- [ ] 21 < 22
  That is `x.numel()`, all **numbers**
  together.
- [x] 7
  The first dimension.

## Which?
- [x] This.
  Yes.
- [ ] That.
  No.
"""


@pytest.fixture
def two(tmp_path):
    path = tmp_path / "99_none.md"
    path.write_text(TWO, encoding="utf-8")
    return path


@by_notebook
def test_every_notebook_has_three_to_five_questions_with_three_or_four_answers(notebook):
    questions = quiz(notebook).questions
    assert 3 <= len(questions) <= 5
    assert all(3 <= len(question.answers) <= 4 for question in questions)
    assert all(question.text.split("\n\n")[0].endswith("?") for question in questions)
    assert len({question.text for question in questions}) == len(questions)


@by_notebook
def test_every_answer_has_its_own_explanation(notebook):
    answers = [answer for question in quiz(notebook).questions for answer in question.answers]
    assert all(len(answer.why) >= 30 and answer.why.endswith(".") for answer in answers)
    assert len({answer.why for answer in answers}) == len(answers)


@by_notebook
def test_the_notebook_shows_its_quiz_once_after_everything_but_the_summary(notebook):
    source = (SOURCES / f"{notebook}.py").read_text(encoding="utf-8")
    assert re.findall(r"^quiz\((.*)\)$", source, re.MULTILINE) == [f'"{notebook}"']
    after = source.split(f'quiz("{notebook}")')[1]
    assert re.findall(r"^# ## (.+)$", after, re.MULTILINE) == ["Summary"]


def test_neither_the_place_nor_the_length_gives_the_right_answer_away():
    questions = [question for notebook in NOTEBOOKS for question in quiz(notebook).questions]
    letters = [question.letter for question in questions]
    assert max(letters.count(letter) for letter in "ABCD") <= len(letters) * 0.45
    longest = sum(max(q.answers, key=lambda a: len(a.text)).right for q in questions)
    assert longest <= len(questions) * 0.5


def test_there_is_no_quiz_without_its_notebook():
    folder = SOURCES.parents[1] / "course_lib" / "quizzes"
    assert sorted(path.stem for path in folder.glob("*.md")) == NOTEBOOKS
    for path in folder.glob("*.md"):
        assert path.read_text(encoding="utf-8").startswith(f"# Quiz of {path.stem}\n")


def test_a_quiz_is_read(two):
    first, second = read_quiz(two).questions
    assert first.text == "What does `len(x)` give for a tensor (7, 3)?\n\n```python\nx = torch.zeros(7, 3)\n```"
    assert [(a.text, a.right, a.why) for a in first.answers] == [
        ("21 < 22", False, "That is `x.numel()`, all **numbers** together."),
        ("7", True, "The first dimension."),
    ]
    assert (first.letter, second.letter) == ("B", "A")


def test_a_learner_sees_buttons_that_need_no_kernel(two):
    page = read_quiz(two)._repr_html_()
    assert page.count("<details") == page.count("<summary") == page.count("</details>") == 4
    assert "<script" not in page
    assert "onclick" not in page
    assert page.count("✓ <b>Right.</b>") == page.count("✗ <b>Not this one.</b>") == 2
    assert "21 &lt; 22" in page
    assert "<code>x.numel()</code>" in page
    assert "<strong>numbers</strong>" in page
    assert "x = torch.zeros(7, 3)" in html.unescape(page)


def test_where_nothing_is_drawn_the_answers_stand_at_the_end(two):
    shown = repr(read_quiz(two))
    assert "   A. 21 < 22\n   B. 7" in shown
    assert shown.endswith("Answers:\n1. B. The first dimension.\n2. A. Yes.")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("- [x] 7\n", "- [ ] 7\n"), "the question in line 3 has 0 right answers; mark exactly one with [x]"),
        (("- [ ] 21", "- [x] 21"), "the question in line 3 has 2 right answers"),
        (("  The first dimension.\n", ""), "the answer '7' has no explanation"),
        (("- [ ] That.\n  No.\n", ""), "the question in line 15 has 1 answers"),
        (("  No.\n", "  No.\nMore.\n"), "line 20 belongs to no question: 'More.'"),
        ((TWO, "# Quiz\n"), "holds no question"),
    ],
)
def test_a_mistake_of_form_is_a_sentence_with_its_line(two, change, words):
    two.write_text(TWO.replace(*change), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_quiz(two)
    assert words in str(caught.value)
    assert "99_none.md" in str(caught.value)


def test_a_quiz_is_found_by_number_and_a_name_that_is_not_there_is_said():
    assert quiz("01").notebook == "01_bert_outputs"
    with pytest.raises(DataError, match="There is no quiz '77'; there are 00_start_here, "):
        quiz("77")


@pytest.mark.browser
@pytest.mark.slow
def test_answers_open_by_the_keyboard_alone() -> None:
    from playwright.sync_api import sync_playwright
    from test_browser import needed_chromium

    asked = quiz("00")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=needed_chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_content(asked._repr_html_())
        for place, answer in enumerate(answer for question in asked.questions for answer in question.answers):
            page.keyboard.press("Tab")
            opened = page.locator("details").nth(place)
            assert opened.get_attribute("open") is None
            page.keyboard.press("Enter")
            assert opened.get_attribute("open") is not None
            assert opened.get_by_text("Right." if answer.right else "Not this one.").is_visible()
        browser.close()
