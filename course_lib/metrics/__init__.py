"""How good predictions are, and how sure we may be of it.

`classes` for one class an example, a token or a choice; `numbers` for scores and for a language model's loss; `entities`
for names in sentences; `answers` for question answering; `comparing` for several seeds and two models; `named` for
choosing a checkpoint by the name of a metric. Shares are from 0 to 1. What scikit-learn, scipy and seqeval have is theirs.

Everywhere a label of -100 does not count, as in cross entropy.
"""

from course_lib.metrics.answers import (
    AnswerScores,
    answer_pieces,
    answer_scores,
    exact_match,
    normalise_answer,
    token_f1,
)
from course_lib.metrics.classes import (
    HardExample,
    HardExamples,
    MultilabelReport,
    Report,
    accuracy,
    classification_report,
    confusion_matrix,
    hardest,
    macro_f1,
    micro_f1,
    multilabel_report,
)
from course_lib.metrics.comparing import Comparison, Spread, over_seeds, paired_interval
from course_lib.metrics.entities import EntityScores, entity_scores
from course_lib.metrics.named import METRICS, Metric, better, scorer
from course_lib.metrics.numbers import RegressionScores, mse, pearson, perplexity, regression_scores, spearman

__all__ = [
    "METRICS", "AnswerScores", "Comparison", "EntityScores", "HardExample", "HardExamples", "Metric",
    "MultilabelReport", "RegressionScores", "Report", "Spread", "accuracy", "answer_pieces", "answer_scores", "better",
    "classification_report", "confusion_matrix", "entity_scores", "exact_match", "hardest", "macro_f1", "micro_f1", "mse",
    "multilabel_report", "normalise_answer", "over_seeds", "paired_interval", "pearson", "perplexity", "regression_scores",
    "scorer", "spearman", "token_f1",
]  # fmt: skip
