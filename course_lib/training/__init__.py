"""Training that can be trusted, for any model; `fit` is the whole of it.

recipe.py       the choices of a run
loop.py         fit: steps, epochs, evaluations, the best weights
losses.py       what is minimised, and by how many items a mean is a mean of
evaluation.py   what a model says about labelled examples
history.py      what happened, as a table and a file
checkpoints.py  whole checkpoints on disk
disk.py         files that are whole or not there, and the sentence when a disk is full
sharing.py      which rows of a batch a process takes
seeds.py        random numbers
allocation.py   memory that is kept from step to step
interrupts.py   Ctrl-C
watching.py     progress bar, live plot, TensorBoard
"""

from course_lib.training.checkpoints import (
    check_made_from,
    has_checkpoints,
    is_finished,
    prepare_output,
    save_model,
    save_tokenizer,
)
from course_lib.training.evaluation import Evaluation, default_scores, evaluate, logits_and_labels
from course_lib.training.history import Record, Step, Training
from course_lib.training.loop import fit, versions
from course_lib.training.losses import IGNORED, Distillation, ModelLoss, WeightedCrossEntropy, class_weights
from course_lib.training.recipe import FINE_TUNING, Recipe
from course_lib.training.seeds import set_seed
from course_lib.training.sharing import is_alone, is_main_process, is_sharded, on_accelerator
from course_lib.training.watching import LivePlot, ProgressBar, TensorBoard, Watcher

__all__ = [
    "FINE_TUNING",
    "IGNORED",
    "Distillation",
    "Evaluation",
    "LivePlot",
    "ModelLoss",
    "ProgressBar",
    "Recipe",
    "Record",
    "Step",
    "TensorBoard",
    "Training",
    "Watcher",
    "WeightedCrossEntropy",
    "check_made_from",
    "class_weights",
    "default_scores",
    "evaluate",
    "fit",
    "has_checkpoints",
    "is_alone",
    "is_finished",
    "is_main_process",
    "is_sharded",
    "logits_and_labels",
    "on_accelerator",
    "prepare_output",
    "save_model",
    "save_tokenizer",
    "set_seed",
    "versions",
]
