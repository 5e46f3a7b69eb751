"""Cells as pieces of slides: what stays, what goes to the speaker, where long code is cut."""

import base64
import io
import re

import pytest
from PIL import Image

from course_lib.slides.blocks import HEIGHT, code_blocks, first_sentence, mathml, notes, output_blocks, text_blocks


def shown(markdown, **options):
    return "\n".join(block.html for block in text_blocks(markdown, **options))


def words(page):
    return re.sub(r"<[^>]+>", "", page)


LONG = "A long paragraph begins with its point. " + "Then it goes on and on with more words. " * 6


def test_of_a_long_paragraph_the_first_sentence_stands_on_the_slide_and_all_of_it_in_the_notes():
    assert words(shown(LONG)).strip() == "A long paragraph begins with its point."
    assert words(notes(LONG)).count("on and on") == 6
    assert words(shown(LONG, whole=True)).count("on and on") == 6


def test_a_short_paragraph_stays_whole():
    assert words(shown("One. Two. Three words.")).strip() == "One. Two. Three words."


@pytest.mark.parametrize(
    ("paragraph", "first"),
    [
        ("As in Kim et al. (2014) the windows differ. " + "More. " * 40, "As in Kim et al. (2014) the windows differ."),
        ("The call `x.sum(). y` is one word here. " + "More. " * 40, "The call `x.sum(). y` is one word here."),
        ("**Read this twice, it matters.** " + "More. " * 40, "**Read this twice, it matters.**"),
        ("**Words.** Each id becomes a row. " + "More. " * 40, "**Words.** Each id becomes a row."),
        (
            "It has two parts (see below. And above) today. " + "More. " * 40,
            "It has two parts (see below. And above) today.",
        ),
        ("They differ in this: one is long. " + "More. " * 40, None),
        ("版面上只留第一句。 后面的都进讲稿。" + "More. " * 40, "版面上只留第一句。"),
    ],
)
def test_the_first_sentence_is_found_among_abbreviations_code_and_marks(paragraph, first):
    paragraph = paragraph.strip()
    assert first_sentence(paragraph) == (first or paragraph)


def test_lists_tables_code_and_formulas_stay():
    page = shown("- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nx = 1\n```\n\n$$\\frac{1}{2}\\,x$$")
    assert page.count("<li>") == 2
    assert "<td>2</td>" in page
    assert 'class="code"' in page
    assert "<mfrac>" in page
    assert "$" not in words(page)


def test_formulas_in_the_text_are_drawn_and_prices_are_left_alone():
    page = shown("The weights $w_t \\cdot x$ cost $5 or $7 a day.")
    assert page.count("<math") == 1
    assert "$5 or $7" in page


def test_sizes_and_small_distances_that_the_converter_does_not_know_leave_no_trace():
    assert "big" not in mathml(r"\text{softmax}\!\left(\big(x\big)\right)")


def test_hints_stay_away_from_slide_and_notes():
    text = "Do it.\n\n<details><summary>Hint 1</summary>Look there.</details>"
    assert "Look" not in shown(text) + notes(text)


def test_links_within_the_course_become_their_words():
    assert words(shown("See [01_bert_outputs](01_bert_outputs.ipynb).")).strip() == "See 01_bert_outputs."
    assert "href" not in shown("See [01_bert_outputs](01_bert_outputs.ipynb).")


def test_long_code_is_cut_between_statements_and_nothing_is_lost():
    code = "\n".join(f"def f{i}(x):\n    # doubled\n    return 2 * x\n\n" for i in range(20)).strip()
    blocks = code_blocks(code)
    assert len(blocks) > 2
    assert all(block.height <= HEIGHT for block in blocks)
    texts = [words(block.html).strip("\n") for block in blocks]
    assert all(text.startswith("def ") for text in texts)
    assert [line for text in texts for line in text.split("\n") if line] == [line for line in code.split("\n") if line]


def test_one_statement_that_is_too_long_is_cut_all_the_same():
    code = "x = [\n" + "    1,\n" * 60 + "]"
    assert all(block.height <= HEIGHT for block in code_blocks(code))


def test_a_magic_command_is_shown():
    assert "load_ext" in code_blocks("%load_ext course_lib.shapes")[0].html


def picture(width, height):
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return {"output_type": "display_data", "data": {"text/html": f'<img alt="seen" width="{width}" style="max-width:100%" src="data:image/png;base64,{data}">'}}  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(500, 900), (4000, 200), (640, 480), (10, 10)])
def test_a_picture_fits_the_slide_keeps_its_sides_and_its_alternative_text(width, height):
    (block,) = output_blocks([picture(width, height)])
    wide, high = map(int, re.search(r"width:(\d+)px;height:(\d+)px", block.html).groups())
    assert wide <= 1180
    assert high <= HEIGHT
    assert wide / high == pytest.approx(width / height, rel=0.1)
    assert 'alt="seen"' in block.html


@pytest.mark.parametrize(("width", "height", "columns"), [(680, 1690, 2), (500, 3000, 3), (500, 900, 1), (300, 700, 1)])
def test_a_long_picture_is_shown_in_columns_which_together_show_all_of_it(width, height, columns):
    (block,) = output_blocks([picture(width, height)])
    sizes = [tuple(map(int, found)) for found in re.findall(r"width:(\d+)px;height:(\d+)px", block.html)]
    assert len(sizes) == columns and len(set(sizes)) == 1
    wide, high = sizes[0]
    assert wide * columns <= 1180 and high <= HEIGHT
    assert columns * high >= height * wide / width - 1  # object-fit: cover shows so much of it in each
    assert block.html.count('alt="seen"') == 1 and block.html.count('alt="') == columns


def test_an_explanation_with_a_table_is_planned_as_high_as_its_words_and_its_table():
    table = "<table><tr><td>x</td></tr><tr><td>y</td></tr></table>"
    row = f"<div role='note'><div>{'a word ' * 40}</div>{table}<pre>code</pre></div>"
    (block,) = output_blocks([{"output_type": "display_data", "data": {"text/html": row}}])
    (alone,) = output_blocks([{"output_type": "display_data", "data": {"text/html": table}}])
    assert block.height == alone.height + 4 * 30  # three lines of words, one of code


def test_outputs_are_shown_by_kind_and_long_ones_in_part():
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "\n".join(f"line {i} <b>" for i in range(100))},
        {"output_type": "error", "traceback": ["\x1b[31mValueError\x1b[0m: no"], "ename": "ValueError", "evalue": "no"},
        {"output_type": "execute_result", "data": {"text/plain": "torch.Size([2, 3])"}},
        {"output_type": "display_data", "data": {"text/html": "<p>a</p><details><summary>more</summary>b</details>"}},
    ]
    stream, error, result, page = output_blocks(outputs)
    assert "84 more lines" in stream.html
    assert "&lt;b&gt;" in stream.html
    assert "line 99" in stream.html
    assert '<pre class="output error">ValueError: no</pre>' in error.html
    assert "torch.Size([2, 3])" in result.html
    assert "more" not in page.html
