"""course_lib.corpus.markup: from a docstring to its prose."""

import pytest

from course_lib.corpus.markup import plain, prose, reads_as_prose, tidy


def sentences(docstring):
    return [sentence for paragraph in prose(docstring) for sentence in paragraph]


def test_numpydoc_gives_descriptions_without_names_types_headings_examples_and_references():
    text = """
    Filter a signal. The signal is
    an array.

    Parameters
    ----------
    x, y : array_like of shape (n, m), optional
        The signal that is filtered.
    axis : int
    **kwargs
        What else is given to the plot.

    Returns
    -------
    ndarray or tuple of float
        The filtered signal is returned.

    See Also
    --------
    scipy.signal : All the filters that there are.

    Notes
    -----
    This is the method of the first author [1]_.

    References
    ----------
    .. [1] A. Author, "The filters of the signals", 1999.

    Examples
    --------
    Here is how it is used:

    >>> filter(x)
    array of the numbers is the output

    And this is the end.
    """
    assert prose(text) == [
        ["Filter a signal.", "The signal is an array."],
        ["The signal that is filtered."],
        ["What else is given to the plot."],
        ["The filtered signal is returned."],
        ["This is the method of the first author."],
        ["Here is how it is used:"],
        ["And this is the end."],
    ]


def test_google_and_hugging_face_forms_give_descriptions():
    text = """
    Args:
        input_ids (`torch.Tensor` of shape `(batch, tokens)`, *optional*, defaults to `None`):
            The ids of the tokens are here.
        size (int): the size of each sample
        name: What it is called by.
        *args (List[Tuple[int, str]]): All the rest of them.

    Returns:
        bool: True if it is there.

    Example::

        >>> model = Model(the_size_of_it)
        the model is here

    Raises:
        ValueError: If there is no token.
    """
    assert sentences(text) == [
        "The ids of the tokens are here.",
        "the size of each sample",
        "What it is called by.",
        "All the rest of them.",
        "True if it is there.",
        "If there is no token.",
    ]


def test_restructured_text_gives_the_text_of_its_notes_and_fields_and_no_code():
    text = """
    Do it in this way::

        for the_line in the_file: print(the_line)

    .. note::
        This is a note to the reader.
    .. versionadded:: 1.2
       The parameter was added then.
    .. code-block:: python

        the = code + that_is * in_a_block

    .. a comment that nobody should read
    :param int size: How many of them there are.
    :type size: int
    :returns: The number of all the lines.
    :copyright: the authors of it all

    ====  ========
    the   number
    ====  ========
    of    the lines
    ====  ========

    +-----+------+
    | the | line |
    +-----+------+

    - This is the first of two.
    - and this is the other
    """
    assert sentences(text) == [
        "Do it in this way:",
        "This is a note to the reader.",
        "The parameter was added then.",
        "How many of them there are.",
        "The number of all the lines.",
        "This is the first of two.",
        "and this is the other",
    ]


def test_markdown_gives_text_without_fences_headings_and_tables():
    text = "# The heading of it\n\nThis is the text.\n\n```python\nthe = code_of(the_file)\n```\n\n| the | of |\n|-----|----|\n\nMore of the text."
    assert sentences(text) == ["This is the text.", "More of the text."]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("a :class:`~torch.nn.Module` and :func:`the text <torch.f>`", "a Module and the text"),
        (":py:meth:`.Axes.plot`, `~.Figure.show` and ``x[0]``", "Axes.plot, Figure.show and x[0]"),
        (
            "[`~Trainer.train`] or [`Trainer`](main/trainer) or [the docs](https://a.org/b)",
            "Trainer.train or Trainer or the docs",
        ),
        (
            "**bold**, *leaning*, _under_, but **kwargs, *args and a*b*c",
            "bold, leaning, under, but **kwargs, *args and a*b*c",
        ),
        ("`the page <https://a.org>`_ and `other`_ [3]_ [Knuth97]_", "the page and other"),
        ("see <https://a.org/x>. And https://b.org/y, too", "see. And , too"),
        ("where :math:`x_i` and $n$ are", "where x_i and n are"),
        ("`Artist`\\s and i\\ th", "Artists and ith"),
        ("<Tip>all</Tip> of <name>__<value>", "all of <name>__<value>"),
        ("|version| of __init__ and x_", "version of __init__ and x_"),
    ],
)
def test_inline_markup_leaves_the_text_that_it_shows(markup, text):
    assert plain(markup) == text


def test_holes_are_closed():
    assert tidy("And , too (see ) .") == "And, too."
    assert tidy("Call f() (see") == "Call f"
    assert tidy("** turn off the callback for *args") == "turn off the callback for *args"
    assert tidy("str | None: the name of it") == "the name of it"


@pytest.mark.parametrize(
    "sentence",
    [
        "The default is None.",
        "Whether to use it.",
        "If `x` is 3, the sum is 4.".replace("`", ""),
        "Filtered signals look very smooth.",
    ],
)
def test_english_is_kept(sentence):
    assert reads_as_prose(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "x = f(a, b) + c",
        "return self.x.y(z) == 3",
        "int or list of str",
        "float, optional",
        "Two words.",
        "the limit \\frac{a}{b} of the sum",
        "Copyright (c) 2020 by the authors of the book.",
        "from the import x; import zoneinfo; zoneinfo.available_timezones for a full list",
        "numpy pandas torch scipy",
        "import numpy as np",
    ],
)
def test_code_types_and_fragments_are_not(sentence):
    assert not reads_as_prose(sentence)
