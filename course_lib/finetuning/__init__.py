"""Fine-tuning BERT for any of its tasks, from a data set to predictions, in a few lines.

tuned = fine_tune(load_dataset("data/headlines_en"), output="my_model")
tuned.evaluate("test")
tuned.predict(["Rain expected over the weekend"])

tasks.py      what all tasks share
texts.py      classification, multi-label, regression, of texts or pairs
tags.py       a tag for each word
answers.py    answers as spans of a passage
choices.py    multiple choice
sentences.py  next sentence
words.py      masked words, next words
tuned.py      fine_tune, and the model that comes of it
classifiers.py  the same for a model of the zoo
languages.py  does an encoder's vocabulary fit the texts?
waiting.py    inputs that come slowly
distillation.py  a small model learns from trained ones
command.py    python -m course_lib train, evaluate, predict
"""

from course_lib.finetuning.classifiers import train_classifier
from course_lib.finetuning.tasks import Reading
from course_lib.finetuning.tuned import TASKS, FineTuned, Result, fine_tune

__all__ = ["TASKS", "FineTuned", "Reading", "Result", "fine_tune", "train_classifier"]
