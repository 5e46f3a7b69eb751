"""Data sets for every task of the course: read from files or the hub, checked line by line, described, written.

`load_dataset` recognises what a folder, a file or a name holds, says so in `Dataset.why`, and counts in `Dataset.notes`
whatever it skipped or converted. Nothing vanishes without a word.
"""

from course_lib.datasets.examples import (
    SPLITS,
    TASKS,
    Answer,
    Choice,
    Dataset,
    Document,
    Example,
    Examples,
    Question,
    TaggedSentence,
)
from course_lib.datasets.files import Stream
from course_lib.datasets.hub import Mapped, from_hub, map_to_disk
from course_lib.datasets.labelled import read_headlines, read_labels
from course_lib.datasets.loading import load_dataset
from course_lib.datasets.problems import problems
from course_lib.datasets.splits import part_of, stable_split
from course_lib.datasets.summary import Summary, describe
from course_lib.datasets.tags import to_iob2
from course_lib.datasets.writing import write_dataset

__all__ = [
    "SPLITS",
    "TASKS",
    "Answer",
    "Choice",
    "Dataset",
    "Document",
    "Example",
    "Examples",
    "Mapped",
    "Question",
    "Stream",
    "Summary",
    "TaggedSentence",
    "describe",
    "from_hub",
    "load_dataset",
    "map_to_disk",
    "part_of",
    "problems",
    "read_headlines",
    "read_labels",
    "stable_split",
    "to_iob2",
    "write_dataset",
]
