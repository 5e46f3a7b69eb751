"""Texts for pretraining: docstrings of installed packages, files and folders, data sets of the hub."""

from course_lib.corpus.corpus import Corpus
from course_lib.corpus.packages import PACKAGES, docstrings
from course_lib.corpus.reading import read_corpus
from course_lib.corpus.sentences import split_sentences

__all__ = ["PACKAGES", "Corpus", "docstrings", "read_corpus", "split_sentences"]
