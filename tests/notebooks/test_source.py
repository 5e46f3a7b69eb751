from pathlib import Path

import pytest

from course_lib.errors import DataError
from course_lib.notebooks.source import YOUR_TURN, code_for, heading, notebook, slug

SOURCE = """\
# %% [markdown]
# # A title
# [next](02_next.ipynb), [paper](https://example.org/p.pdf), [here](#a-title)

# %% items="001-02"
x = 1

# %% [markdown]
# ## Part two

# %%
def double(n):
    # BEGIN SOLUTION
    twice = n + n
    return twice
    # END SOLUTION


# %% tags=["picture"]
x
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "01_title.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_the_learner_gets_dots_and_the_solutions_get_the_lines(source: Path) -> None:
    learner = notebook(source, "learner").cells[3].source
    assert learner == f"def double(n):\n    return ...  {YOUR_TURN}"
    solved = notebook(source, "solutions").cells[3].source
    assert solved == "def double(n):\n    twice = n + n\n    return twice"


def test_a_marker_with_names_gives_each_name_its_dots() -> None:
    code = "# BEGIN SOLUTION a b\na, b = 1, 2\n# END SOLUTION\nprint(1)"
    assert code_for("learner", code) == f"a = ...  {YOUR_TURN}\nb = ...  {YOUR_TURN}\nprint(1)"
    assert code_for("solutions", code) == "a, b = 1, 2\nprint(1)"


@pytest.mark.parametrize("code", ["# BEGIN SOLUTION\nx = 1", "x = 1\n# END SOLUTION"])
def test_a_marker_without_its_partner_is_an_error(code: str) -> None:
    with pytest.raises(DataError, match="no partner"):
        code_for("learner", code)


def test_ids_depend_on_the_section_alone(source: Path) -> None:
    before = [cell.id for cell in notebook(source, "learner").cells]
    assert before == ["a-title-1", "a-title-2", "part-two-1", "part-two-2", "part-two-3"]
    source.write_text(SOURCE.replace("x = 1\n", "x = 1\n\n# %%\ny = 2\n", 1), encoding="utf-8")
    after = [cell.id for cell in notebook(source, "learner").cells]
    assert after[-3:] == before[-3:]


def test_two_sections_of_one_name_are_an_error(source: Path) -> None:
    source.write_text(SOURCE + "\n# %% [markdown]\n# ## Part two\n", encoding="utf-8")
    with pytest.raises(DataError, match="part-two"):
        notebook(source, "learner")


def test_links_of_the_solutions_lead_up_one_folder(source: Path) -> None:
    text = notebook(source, "solutions").cells[0].source
    assert "[next](../02_next.ipynb)" in text
    assert "[paper](https://example.org/p.pdf)" in text and "[here](#a-title)" in text
    assert "[01_title](../01_title.ipynb)" in text


def test_paths_of_the_solutions_lead_up_one_folder_so_that_they_run_where_they_lie(source: Path) -> None:
    code = '# %%\nfrom pathlib import Path\n\nPath("../data"), Path(f\'../data/{1}\'), "a/../b", "..."\n'
    source.write_text(SOURCE + "\n" + code, encoding="utf-8")
    assert (
        notebook(source, "learner")
        .cells[-1]
        .source.endswith("""Path("../data"), Path(f'../data/{1}'), "a/../b", "...\"""")
    )
    assert (
        notebook(source, "solutions")
        .cells[-1]
        .source.endswith("""Path("../../data"), Path(f'../../data/{1}'), "a/../b", "...\"""")
    )


def test_metadata_is_the_same_at_every_build(source: Path) -> None:
    first, second = notebook(source, "learner"), notebook(source, "learner")
    assert first == second
    assert first.metadata["kernelspec"]["name"] == "python3"
    assert first.cells[1].metadata == {"items": "001-02"}
    assert first.cells[4].metadata == {"tags": ["picture"], "jupyter": {"source_hidden": True}}


def test_headings_and_slugs() -> None:
    assert heading("text\n\n## A `b`\n\nmore") == "A `b`"
    assert heading("no heading # here") is None
    assert heading("## A\n\n```\n# a comment\n```\n") == "A"
    assert slug("`hidden_states`: L + 1 tensors (B, T, H)") == "hidden-states-l-1-tensors-b-t-h"
    assert len(slug("word " * 40)) <= 40 and slug("中文") == "section"
