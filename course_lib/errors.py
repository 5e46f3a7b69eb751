"""Errors meant for the person at the keyboard.

Each message is one sentence: what was given, what was expected, what to do. The command line prints it alone, without
a traceback; in a notebook it is an ordinary exception of a fitting kind.
"""


class CourseError(Exception):
    """Base of all errors whose message is written for the user."""


class DataError(CourseError, ValueError):
    """A data file, or a line of it, is not what its form promises."""


class ModelFilesError(CourseError, OSError):
    """A pretrained model cannot be found, is damaged, or is of another kind."""


class SetupError(CourseError, RuntimeError):
    """The machine or the installation lacks something that the course needs."""


class TrainingError(CourseError, RuntimeError):
    """A training run cannot go on: no loss, or one that is no number any more."""


class ExportError(CourseError, RuntimeError):
    """A model cannot be written as a graph, or a graph does not do what the model does."""
