"""How any exercise is judged, shown and remembered, on small exercises made here; and the progress over the course."""

import json
import warnings
from pathlib import Path

import pytest
import torch

from course_lib import exercises as course_exercises
from course_lib.exercises import Progress, checking, exercises, progress
from course_lib.exercises.checking import Mistake, Outcome, describe, exercise, expect, progress_file, recorded

from .exercise_cells import defined, expect_sentence


@exercise("00_start_here", "Double it")
def double(answer):
    """answer(x) -> 2 x."""
    for x in (2, 5):
        got = answer(x)
        expect(got == 2 * x, f"For x = {x} expected {2 * x}, got {got}.")
    return "Twice as much."


@exercise("00_start_here", "Say two", wanted="value")
def two(answer):
    if answer == 3:
        raise Mistake("3 is one too many.")
    expect(answer == 2, f"You gave {answer}.")


def right(x):
    return 2 * x


def wrong(x):
    return 3 * x


def fails(x):
    y = x - 2
    return x / y


# ------------------------------------------------------------------------------------------ the judgement


def test_a_right_answer_passes_with_the_words_of_the_check():
    outcome = double(right)
    assert outcome == Outcome("Double it", "passed", "Twice as much.")
    assert outcome.passed
    assert two(2) == Outcome("Say two", "passed", "")


def test_a_wrong_answer_fails_with_the_mistake_and_raises_nothing():
    assert double(wrong) == Outcome("Double it", "failed", "For x = 2 expected 4, got 6.")
    assert not double(wrong).passed
    assert two(3).message == "3 is one too many."


def test_three_dots_are_not_tried_yet(an_own_progress_file):
    for outcome in (two(...), double(...), double(lambda x: ...)):
        assert outcome.state == "not tried"
        assert not outcome.passed
        assert "Replace the three dots" in outcome.message
    assert not an_own_progress_file.exists()


def test_a_function_half_done_is_not_tried_yet_when_it_returns_the_dots():
    assert double(lambda x: 4 if x == 2 else ...).state == "not tried"


def test_an_error_in_the_answer_is_told_with_its_input_and_its_line():
    outcome = double(fails)
    expect_sentence(outcome)
    assert outcome.message.startswith("Called with 2, your function raised ZeroDivisionError: division by zero.")
    assert outcome.message.endswith("This line of yours failed:  return x / y")


def test_the_failing_line_is_known_in_a_cell_and_in_a_helper_of_that_cell():
    answer = defined("def helper(x):\n    return x.shape\n\n\ndef answer(x):\n    return helper(x)\n", "answer")
    assert double(answer).message.endswith("This line of yours failed:  return x.shape")


def test_the_failing_line_is_the_learners_where_the_library_has_a_function_of_the_same_name():
    from course_lib import pooling

    code = "def masked_mean(x):\n    return pooling.masked_mean(torch.zeros(x), torch.zeros(x))\n"
    outcome = double(defined(code, "masked_mean", pooling=pooling, torch=torch))
    expect_sentence(outcome)
    assert outcome.message.endswith(
        "This line of yours failed:  return pooling.masked_mean(torch.zeros(x), torch.zeros(x))"
    )


def test_an_error_without_words_and_one_that_ends_with_a_full_stop_make_good_sentences():
    def silent(x):
        raise NotImplementedError

    def loud(x):
        raise ValueError("No.")

    assert "your function raised NotImplementedError. This line" in double(silent).message
    assert "your function raised ValueError: No. This line" in double(loud).message


def test_an_error_where_no_line_is_known_is_told_all_the_same():
    code = "def answer(x):\n    return x.nope\n"
    names = {}
    exec(compile(code, "<nowhere>", "exec"), names)
    assert double(names["answer"]).message.endswith("'int' object has no attribute 'nope'.")


def test_none_means_that_a_return_is_missing():
    def forgot(x):
        2 * x

    outcome = double(forgot)
    assert outcome.state == "failed"
    assert outcome.message == "Called with 2, your function returned None. Is a `return` missing?"


def test_a_check_sees_its_arguments_as_it_made_them_and_as_the_function_left_them():
    seen = []

    @exercise("00_start_here", "Add a three")
    def grow(answer):
        """answer(list) adds 3 to the list."""
        mine = [1]
        answer(mine)
        seen.append((mine, *answer.given))

    def appends(numbers):
        numbers.append(3)
        return numbers

    assert grow(appends).passed
    assert seen == [([1], [1, 3])]


def test_a_stop_by_the_learner_stops():
    def stopped(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        double(stopped)


def test_a_built_in_function_without_a_signature_may_be_an_answer():
    expect_sentence(double(type))
    expect_sentence(double(max))


# ------------------------------------------------------------------------------------------ the words


def test_inputs_are_described_by_their_shapes_and_small_ones_by_their_values():
    assert describe() == "no arguments"
    assert describe(3, "a") == "3, 'a'"
    assert describe(torch.tensor([[1, 0]])) == "a tensor (1, 2) = [[1, 0]]"
    assert describe(torch.zeros(1, 2)) == "a tensor (1, 2)"
    assert describe(torch.zeros(5, 5, dtype=torch.long)) == "a tensor (5, 5)"
    assert describe((torch.zeros(2, 3), torch.zeros(2, 3))) == "2 tensors (2, 3)"
    assert describe("word " * 50) == "something of type str"
    assert describe(object()) == "something of type object"
    assert describe([right]) == "something of type list"


def test_an_outcome_reads_as_one_line_of_text():
    assert repr(double(right)) == "✓ Double it · Passed. Twice as much."
    assert repr(double(wrong)) == "✗ Double it · Not yet. For x = 2 expected 4, got 6."
    assert repr(double(...)).startswith("○ Double it · Not tried yet. Replace the three dots")


def test_html_escapes_what_the_learner_typed():
    def answer(x):
        raise ValueError("<script>alert('a & b')</script>\nsecond line")

    page = double(answer)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#x27;a &amp; b&#x27;)&lt;/script&gt;<br>second line" in page
    assert "<b>Two &lt; three · Passed.</b>" in Outcome("Two < three", "passed", "")._repr_html_()


# ------------------------------------------------------------------------------------------ what is remembered


def states(path):
    return json.loads(path.read_text(encoding="utf-8"))["00_start_here"]


def test_what_was_found_is_written_down(an_own_progress_file):
    double(wrong)
    two(2)
    assert states(an_own_progress_file) == {"double": "failed", "two": "passed"}
    assert recorded() == {"00_start_here": {"double": "failed", "two": "passed"}}


def test_passed_stays_passed(an_own_progress_file):
    double(wrong)
    double(right)
    double(wrong)
    double(...)
    assert states(an_own_progress_file) == {"double": "passed"}


def test_a_stub_run_again_leaves_a_failure_as_it_was(an_own_progress_file):
    double(wrong)
    double(...)
    assert states(an_own_progress_file) == {"double": "failed"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"null",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"00_start_here": ["double"], "01_bert_outputs": 3}',
        b'{"00_start_here": {"double": "great", "two": ["passed"], "read_a_shape": null}}',
    ],
    ids=["empty", "cut off", "list", "null", "not UTF-8", "deep", "lists for states", "unknown states"],
)
def test_a_damaged_progress_file_counts_as_empty_and_is_replaced(an_own_progress_file, content):
    an_own_progress_file.write_bytes(content)
    assert not any(recorded().values())
    assert progress().done == 0
    assert double(right).passed
    assert states(an_own_progress_file) == {"double": "passed"}


def test_what_is_whole_in_a_damaged_progress_file_is_kept(an_own_progress_file):
    an_own_progress_file.write_text('\ufeff{"00_start_here": {"two": "passed", "double": 7}, "x": 1}', encoding="utf-8")
    double(wrong)
    assert states(an_own_progress_file) == {"two": "passed", "double": "failed"}


@pytest.mark.parametrize("method", ["write_text", "mkdir", "replace"])
def test_a_progress_file_that_cannot_be_written_is_a_warning_and_the_outcome_is_kept(
    an_own_progress_file, monkeypatch, method
):
    def refused(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, method, refused)
    with pytest.warns(
        UserWarning, match="could not be written to .*Permission denied.* check itself is not affected"
    ) as seen:
        outcome = double(right)
    assert outcome.passed
    assert [warning.filename for warning in seen] == [__file__]  # the learner's line, none of the library
    assert list(an_own_progress_file.parent.iterdir()) == []


def test_an_error_of_the_system_without_words_is_shown_as_it_is(monkeypatch):
    def refused(self, *args, **kwargs):
        raise OSError("out of luck")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.warns(UserWarning, match=r"\(out of luck\)"):
        double(right)


def test_a_progress_file_that_cannot_be_read_is_a_warning_and_is_not_overwritten(an_own_progress_file, monkeypatch):
    double(right)

    def refused(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refused)
        with pytest.warns(UserWarning, match="could not be read") as seen:
            assert progress().done == 0
        assert [warning.filename for warning in seen] == [__file__]
        with pytest.warns(UserWarning, match="the check itself is not affected"):
            assert two(2).passed
    assert states(an_own_progress_file) == {"double": "passed"}


def test_a_folder_in_the_place_of_the_progress_file_is_a_warning(an_own_progress_file):
    an_own_progress_file.mkdir()
    with pytest.warns(UserWarning, match="could not be written"):
        assert double(right).passed
    assert list(an_own_progress_file.iterdir()) == []


def test_writing_leaves_no_other_file_behind(an_own_progress_file):
    double(wrong)
    double(right)
    assert [path.name for path in an_own_progress_file.parent.iterdir()] == ["progress.json"]


# ------------------------------------------------------------------------------------------ where it is kept


def test_course_progress_names_the_file_and_its_folders_are_made(monkeypatch, tmp_path):
    chosen = tmp_path / "new folder" / "deep" / "mine.json"
    monkeypatch.setenv("COURSE_PROGRESS", str(chosen))
    assert progress_file() == chosen
    double(right)
    assert states(chosen) == {"double": "passed"}


def test_a_tilde_in_course_progress_is_the_home(monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", "~/mine.json")
    assert progress_file() == Path.home() / "mine.json"


def test_without_course_progress_it_is_in_the_folder_of_the_course(monkeypatch):
    monkeypatch.delenv("COURSE_PROGRESS")
    monkeypatch.setattr(checking.os, "access", lambda *args: True)
    course = Path(checking.__file__).resolve().parents[2]
    assert progress_file() == course / ".course" / "progress.json"


def test_where_the_course_cannot_be_written_it_is_in_the_home(monkeypatch):
    monkeypatch.delenv("COURSE_PROGRESS")
    monkeypatch.setattr(checking.os, "access", lambda *args: False)
    course = Path(checking.__file__).resolve().parents[2]
    assert progress_file().name == "progress.json"
    assert "bert-course" in progress_file().parts
    assert course not in progress_file().parents


# ------------------------------------------------------------------------------------------ progress over the course


def test_progress_lists_every_exercise_of_every_notebook_in_order():
    rows = [e for e, state in progress().rows]
    assert rows == exercises()
    assert [e.notebook for e in rows] == sorted(e.notebook for e in rows)
    assert [e.name for e in rows] == [
        "read_a_shape",
        "read_an_error",
        "count_tokens",
        "layer_parameters",
        "rebuild_pooler",
        "masked_mean",
        "last_four_cls",
        "attention_to_cls",
        "masked_max",
        "batch_change",
        "mix_layers",
        "tie",
        "next_token_loss",
        "choose_heads",
        "output_length",
        "layers_as_channels",
        "mended",
        "to_channels",
        "last_real",
        "squared_error",
        "report",
        "embed",
        "layer_norm",
        "attention_head",
        "split_heads",
        "gelu",
        "today_name",
        "hide_words",
        "word_labels",
        "word_loss",
        "pick_places",
        "sentence_pair",
        "cut_pair",
        "count_once",
        "hold_out",
        "inspect_batch",
        "unigram_entropy",
        "neighbour_guess",
        "perplexity",
        "times_through",
        "training_operations",
        "no_decay",
        "adamw_step",
        "linear_rate",
        "patience",
        "evaluations",
        "scores",
        "piece_labels",
        "to_iob2",
        "best_span",
        "choice_probabilities",
        "micro_f1",
        "best_window",
        "both_ends",
        "shares",
        "mix_layers",
        "apart",
        "same_answers",
        "count_layers",
        "changing_axes",
        "joined_edges",
        "eight_bits",
        "training_hours",
        "state_bytes",
        "joined_gradient",
        "shuffled",
        "position_ids",
        "partner_loss",
    ]
    assert {state for _, state in progress().rows} == {"not tried"}


def test_progress_counts_what_is_passed():
    from course_lib.exercises import start_here

    start_here.read_a_shape(3)
    start_here.read_an_error(7)
    found = progress()
    assert found.done == 1
    assert [state for _, state in found.rows[:3]] == ["passed", "failed", "not tried"]
    lines = repr(found).splitlines()
    assert lines[0] == f"1 of {len(exercises())} exercises passed"
    assert lines[1].split() == ["00_start_here", "Read", "a", "shape", "passed"]
    page = found._repr_html_()
    assert page.count("✓ passed") == 1
    assert page.count("✗ not yet") == 1
    assert page.count("○ not tried") == len(exercises()) - 2


def test_progress_escapes_titles_in_html():
    @exercise("00_start_here", "Is a < b & c?")
    def small(answer):
        return ""

    page = Progress([(small, "failed")])._repr_html_()
    assert "Is a &lt; b &amp; c?" in page


def test_progress_of_an_exercise_that_is_no_more_is_left_out(an_own_progress_file):
    an_own_progress_file.write_text('{"00_start_here": {"long_gone": "passed"}}', encoding="utf-8")
    assert progress().done == 0


def test_no_two_exercises_share_a_name_in_a_notebook_and_each_says_what_it_wants():
    keys = [(e.notebook, e.name) for e in exercises()]
    assert len(set(keys)) == len(keys)
    for e in exercises():
        assert e.title
        assert "answer" in e.__doc__
    assert course_exercises.Exercise is checking.Exercise


def test_nothing_warns_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        double(right)
        progress()
