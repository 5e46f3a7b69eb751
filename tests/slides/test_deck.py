"""From a notebook to sections, slides, notes and minutes."""

import nbformat.v4 as v4
import pytest

from course_lib.slides.blocks import HEIGHT
from course_lib.slides.deck import make_deck


def deck(*cells):
    made = []
    for cell in cells:
        if isinstance(cell, str):
            made.append(v4.new_markdown_cell(cell))
        else:
            source, text, *tags = cell
            outputs = [v4.new_output("stream", name="stdout", text=text)] if text else []
            made.append(v4.new_code_cell(source, outputs=outputs, metadata={"tags": tags}))
    return make_deck("99_none", v4.new_notebook(cells=made))


def titles(made):
    return [[slide.title for slide in section.slides] for section in made.sections]


def page(slide):
    return "".join(block.html for block in slide.blocks)


def test_sections_begin_at_the_second_level_and_slides_at_every_heading():
    made = deck("# Course\n\nHello.", "## One\n\nText.", "### Detail\n\nMore.", "## Two\n\nText.")
    assert titles(made) == [["Course"], ["One", "Detail"], ["Two"]]
    assert made.title == "Course"


def test_a_comment_in_a_block_of_code_is_no_heading():
    made = deck("# Course", "## One\n\nThe command:\n\n```\n# on the first\nrun\n```\n\nAnd on.")
    assert titles(made) == [["Course"], ["One"]]
    assert "# on the first" in page(made.slides[1]) and "And on." in page(made.slides[1])
    assert "# on the first" in made.slides[1].notes[0]


def test_code_and_its_result_stay_together_when_the_slide_is_full():
    made = deck("## One\n\n" + "A line of text.\n\n" * 9, ("print(1)\n" * 10, "1\n" * 4))
    assert titles(made) == [["One", "One"]]
    assert "print" not in page(made.slides[0])
    assert "print" in page(made.slides[1])
    assert "output" in page(made.slides[1])


def test_a_sentence_with_a_colon_goes_along_with_what_it_announces():
    made = deck("## One\n\n" + "A line of text.\n\n" * 9 + "It prints this:", ("print(1)\n" * 10, "1\n" * 4))
    assert "It prints this:" not in page(made.slides[0])
    assert page(made.slides[1]).index("It prints this:") < page(made.slides[1]).index("<pre")


def test_no_slide_is_planned_higher_than_it_is():
    made = deck("## One", *(("x = 1\n" * n, "1\n" * n) for n in range(1, 40, 3)))
    assert all(slide.height <= HEIGHT for slide in made.slides)


def test_checks_hints_progress_and_bare_asserts_are_left_out():
    made = deck(
        "## One\n\nText.",
        ("check.mix(mix)", "not tried"),
        ("from course_lib.exercises import progress\n\nprogress()", "table"),
        ("assert 1 == 1\nif EMBEDDED:\n    assert 2 == 2", ""),
        ("assert 1 == 1\nx = 3", ""),
    )
    everything = "".join(map(page, made.slides))
    assert "check." not in everything
    assert "progress" not in everything
    assert everything.count('<pre class="code"') == 1


def test_after_an_exercise_the_section_goes_on_under_its_own_name():
    task = "### Exercise 1 · Mix (8 minutes)\n\n" + "Every word of the task is shown. " * 12
    made = deck("## One\n\nText.", task, ("def mix(): ...", ""), ("check.mix(mix)", "no"), "<details>Hint</details>", "On we go.")  # fmt: skip
    assert titles(made) == [["One", "Exercise 1 · Mix (8 minutes)", "One"]]
    assert page(made.slides[1]).count("Every word") == 12
    assert made.sections[0].exercise_minutes == 8


def test_tags_decide_otherwise():
    made = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("## One\n\nShown."),
            v4.new_markdown_cell("Said alone.", metadata={"tags": ["notes"]}),
            v4.new_markdown_cell("Neither.", metadata={"tags": ["no-slide"]}),
            v4.new_code_cell(
                "draw(3)", metadata={"tags": ["picture"]}, outputs=[v4.new_output("stream", text="drawn")]
            ),
        ]
    )
    (slide,) = make_deck("99_none", made).slides
    assert "Shown" in page(slide) and "drawn" in page(slide)
    assert "Said alone" not in page(slide) and "draw(" not in page(slide)
    assert "Said alone" in "".join(slide.notes)
    assert "Neither" not in page(slide) + "".join(slide.notes)


def test_minutes_grow_with_what_is_said_and_run():
    short, long = deck("## One\n\n" + "word " * 130), deck("## One\n\n" + "word " * 650)
    assert short.sections[0].minutes == 1
    assert long.sections[0].minutes == 5
    cells = [("print(1)", "1")] * 9
    assert deck("## One\n\n" + "word " * 130, *cells).sections[0].minutes == pytest.approx(1 + 9 * 40 / 60, abs=1)


def test_a_quiz_gives_a_slide_a_question_with_the_reasons_for_the_speaker():
    made = deck("## Quiz\n\nThink first.", ('from course_lib.quizzes import quiz\n\nquiz("00_start_here")', ""))
    questions = [slide for slide in made.slides if slide.title.startswith("Question ")]
    assert len(questions) >= 3
    for slide in questions:
        assert page(slide).count("✓ right") == 1
        assert "".join(slide.notes).count("✗") >= 2
