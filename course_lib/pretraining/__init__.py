"""Pretraining: a corpus in, a vocabulary and a BERT out (Devlin et al. 2019, section 3.1).

tokens.py       a corpus as ids on disk, mapped into memory
batches.py      rows and hidden words, anew each time through
run.py          pretrain: vocabulary, model, training, card
baselines.py    what guessing from counts alone reaches
probes.py       what the model guesses while it learns
command.py      python -m course_lib pretrain
"""

from course_lib.positions import begin_as_sinusoids, sinusoids
from course_lib.pretraining.baselines import NGrams
from course_lib.pretraining.batches import PretrainingBatches
from course_lib.pretraining.probes import Probes, fill_mask, neighbours
from course_lib.pretraining.run import (
    PRETRAINING,
    SIZES,
    Pretrained,
    PretrainingLoss,
    kept_counts,
    load_pretrained,
    pretrain,
    pretraining_scores,
)
from course_lib.pretraining.tokens import TokenDocuments, open_tokens, tokenize, write_tokens

__all__ = [
    "PRETRAINING",
    "SIZES",
    "NGrams",
    "Pretrained",
    "PretrainingBatches",
    "PretrainingLoss",
    "Probes",
    "TokenDocuments",
    "begin_as_sinusoids",
    "fill_mask",
    "kept_counts",
    "load_pretrained",
    "neighbours",
    "open_tokens",
    "pretrain",
    "pretraining_scores",
    "sinusoids",
    "tokenize",
    "write_tokens",
]
