"""`python -m course_lib pretrain`: from text to a BERT."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from course_lib.errors import CourseError, DataError

_RECIPE = (
    "steps", "learning_rate", "weight_decay", "schedule", "warmup", "accumulate", "clip", "precision", "evaluate_every",
    "save_every",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options; README has them beside those of Google's run_pretraining.py."""
    parser.add_argument(
        "--corpus", required=True, help="docstrings; a text file, or a folder of them; or a name on the hub"
    )
    parser.add_argument("--output", required=True, type=Path, help="a new folder for the model")
    parser.add_argument("--config", default="mini", help="tiny, mini (the default), small, base, or a config.json")
    parser.add_argument("--model", help="go on with this model (a folder or a name) in place of a new one")
    parser.add_argument("--tokenizer", help="a folder or a name; by default a vocabulary is trained on the corpus")
    parser.add_argument("--vocabulary", type=int, default=8000, help="its entries (8000)")
    parser.add_argument("--keep-case", action="store_true", help="do not lower the case")
    parser.add_argument(
        "--hold-out",
        nargs="+",
        metavar="SHARE|SOURCE",
        help="for dev: a share of the documents (0.02), or whole sources, such as packages",
    )
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="SOURCE", help="sources that are not read at all")
    parser.add_argument("--pairs", action="store_true", help="next sentence prediction too, as the original did")
    parser.add_argument("--length", type=int, default=128, help="the most tokens a row (128)")
    parser.add_argument("--batch-tokens", type=int, default=8192, help="positions a batch (8192)")
    parser.add_argument("--batch-size", type=int, help="and at most so many rows")
    parser.add_argument("--within-documents", action="store_true", help="no row goes on with the next document")
    parser.add_argument("--whole-words", action="store_true", help="hide all pieces of a word or none")
    parser.add_argument("--counted", action="store_true", help="hide exactly 15 %% of each row, as the original did")
    parser.add_argument("--dropout", type=float, help="(0.1; 0 learns more in a short run)")
    parser.add_argument(
        "--waves", action="store_true", help="positions begin as sinusoids, which shortens the plateau at the start"
    )
    parser.add_argument("--steps", type=int, help="optimiser steps (10000)")
    parser.add_argument("--learning-rate", type=float, help="the highest of the schedule (5e-4)")
    parser.add_argument("--weight-decay", type=float, help="(0.01)")
    parser.add_argument(
        "--schedule", help="linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup"
    )
    parser.add_argument(
        "--warmup", type=float, help="share of the run, or from 1 on steps, in which the rate rises (0.05)"
    )
    parser.add_argument("--accumulate", type=int, help="batches a step (1)")
    parser.add_argument("--clip", type=float, help="the longest gradient (1.0)")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16", "auto"), help="auto: bfloat16 where it is native"
    )
    parser.add_argument("--evaluate-every", type=int, help="steps (500)")
    parser.add_argument("--save-every", type=int, help="steps; an end of the corpus is saved anyway (500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off")
    parser.add_argument(
        "--probe", nargs="+", default=[], metavar="TEXT", help="texts with [MASK], asked at each evaluation"
    )
    parser.add_argument(
        "--neighbours", nargs="+", default=[], metavar="TOKEN", help="tokens whose neighbours are looked up"
    )
    parser.add_argument("--tensorboard", action="store_true", help="event files in OUTPUT/tensorboard")


def run(arguments: argparse.Namespace) -> int:
    """Pretrain, and say what was reached beside the baselines."""
    from course_lib import training
    from course_lib.config import BertConfig
    from course_lib.corpus import read_corpus
    from course_lib.pretraining import SIZES, Probes, pretrain

    corpus = read_corpus(arguments.corpus)
    if arguments.leave_out:
        corpus = corpus.without(arguments.leave_out)
    corpus, dev = _hold_out(corpus, arguments.hold_out)
    config = arguments.config
    if config not in SIZES and Path(config).suffix == ".json":
        config = BertConfig.from_file(config)
    main = training.is_main_process()
    if main:
        print("\n".join([repr(corpus), *corpus.notes]), file=sys.stderr)
    changes = {name: value for name in _RECIPE if (value := getattr(arguments, name)) is not None}
    changes.setdefault("save_every", 500)
    if "warmup" in changes and changes["warmup"] >= 1:
        changes["warmup"] = int(changes["warmup"])
    probes = Probes(arguments.probe, arguments.neighbours) if arguments.probe or arguments.neighbours else None
    try:
        done = pretrain(
            corpus,
            config,
            model=arguments.model,
            tokenizer=arguments.tokenizer,
            vocabulary=arguments.vocabulary,
            lowercase=not arguments.keep_case,
            dev=dev,
            pairs=arguments.pairs,
            length=arguments.length,
            batch_tokens=arguments.batch_tokens,
            batch_size=arguments.batch_size,
            crossing=not arguments.within_documents,
            whole_words=arguments.whole_words,
            counted=arguments.counted,
            dropout=arguments.dropout,
            waves=arguments.waves,
            output=arguments.output,
            resume=arguments.resume,
            seed=arguments.seed,
            probes=probes,
            watchers=[training.TensorBoard(arguments.output / "tensorboard")] if arguments.tensorboard else [],
            progress=True,
            **changes,
        )
    except KeyboardInterrupt as error:
        if main:
            print(f"Stopped. {error if error.args else 'The same command with --resume goes on.'}", file=sys.stderr)
            return 130
        raise
    except ValueError as error:  # a choice that makes no sense: its sentence, without library frames
        raise error if isinstance(error, CourseError) else DataError(str(error)) from error
    if main:
        if done.history is None:
            print(f"The run in '{arguments.output}' was over already.")
        else:
            print(done.history)
        shown = {name: done.card[name] for name in ("kept", "baselines", "train", "dev", "parameters", "seconds")}
        print(json.dumps(shown, indent=2))
        print(f"The model is in '{arguments.output}'.")
    return 0


def _hold_out(corpus: object, asked: list[str] | None) -> tuple[object, object]:
    if asked is None:
        return corpus, 0.02
    try:
        share = float(asked[0])
    except ValueError:
        return corpus.without(asked), corpus.only(asked)  # type: ignore[attr-defined]
    if len(asked) > 1 or not 0 < share < 1:
        raise DataError(
            f"--hold-out has {' '.join(asked)}; one share between 0 and 1 is expected, such as 0.02, or names of sources."
        )
    return corpus, share
