"""Texts for pretraining: docstrings of installed packages, files and folders, data sets of the hub."""

from course_lib.corpus.corpus import Corpus
from course_lib.corpus.packages import PACKAGES, docstrings
from course_lib.corpus.reading import read_corpus
from course_lib.corpus.sentences import split_sentences
from course_lib.corpus.topics import TOPICS, docstring_topics

__all__ = ["PACKAGES", "TOPICS", "Corpus", "docstring_topics", "docstrings", "read_corpus", "split_sentences"]
