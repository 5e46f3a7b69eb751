"""A model of the zoo, trained on a data set of labelled texts: `train_classifier`.

tuned = train_classifier("TextCNN", load_dataset("data/headlines_zh"), output="my_model")
tuned = train_classifier("bert_CNN", data, encoder="mini_bert_zh")

What comes back is what `fine_tune` gives: it evaluates, predicts and saves itself.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import nn

from course_lib import training
from course_lib.checkpoint import weights_sha256
from course_lib.datasets import Example, Examples
from course_lib.datasets.examples import texts_of
from course_lib.errors import DataError
from course_lib.finetuning.languages import TOO_UNKNOWN, unknown_share, usual_encoder, warn_poor_match
from course_lib.finetuning.tasks import Reading, check_dataset, check_examples
from course_lib.finetuning.tuned import FineTuned, fine_tune
from course_lib.training import Recipe

_STEPS_AT_LEAST = {True: 300, False: 800}  # over BERT, over word vectors: a small set is gone through more often
MINIMUM = 2  # how often a token must occur in train to be in a vocabulary
_SMALL = 20_000  # texts, below which batches over word vectors are small too


def train_classifier(
    name: str,
    data: Any,
    *,
    encoder: Any = None,
    unit: str | None = None,
    minimum: int = MINIMUM,
    most: int | None = None,
    vectors: str | Path | None = None,
    vector_words: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    teachers: Sequence[FineTuned] = (),
    unlabelled: Sequence[Any] = (),
    temperature: float = 2.0,
    recipe: Recipe | None = None,
    batch_size: int | None = None,
    reading: Reading | None = None,
    seed: int = 0,
    output: str | Path | None = None,
    resume: bool = False,
    watchers: Any = (),
    progress: bool | None = None,
    **changes: Any,
) -> FineTuned:
    """Build a model of `course_lib.zoo` for a data set, and train it; the best checkpoint on dev is what comes back.

    Args:
        name: one of `course_lib.zoo.NAMES`.
        data: of `load_dataset`, for classification.
        encoder: for models over BERT; by default one of the data's language (`usual_encoder`).
        unit, minimum, most: of the vocabulary, for models over word vectors (`make_vocabulary`).
        vectors, vector_words: a file of pretrained word vectors, and the file with its words where it has none itself.
        options: of the model, as in `course_lib.zoo.build`.
        teachers: trained classifiers with the same labels, from whose probabilities the model learns (`distillation`).
        unlabelled: further examples that the teachers label, such as those of `altered` and `rewritten`.
        temperature: of the teachers' probabilities (`training.Distillation`).
        recipe: how to train; by default the model's own (`usual_recipe`). `changes` are fields of it.
        batch_size: texts a batch; by default 32, and 128 for a model over word vectors with 20,000 texts or more.
        reading, seed, output, resume, watchers, progress: as in `fine_tune`.

    Raises:
        ValueError: an unknown name, or an option that does not fit.
        DataError: no data set, one for another task, or without train; teachers or unlabelled examples of another kind.

    Warns:
        LanguageWarning: the encoder's vocabulary was made for another language.
    """
    from course_lib import zoo
    from course_lib.vocabulary import make_vocabulary, vocabulary_digest

    over_bert = zoo.reads_bert(name)
    check_dataset(data)
    if data.task != "classification":
        raise DataError(
            f"'{data.folder}' is for {data.task}; the models of the zoo give a text one of several labels: give data "
            "for classification."
        )
    texts = data.require("train", "training")
    if not hasattr(texts, "__len__"):
        raise DataError("A vocabulary is made from all training texts: load the data without streaming.")
    of_words = {
        "unit (words, characters)": unit, "minimum": None if minimum == MINIMUM else minimum, "most": most, "vectors": vectors,
        "vector_words": vector_words,
    }  # fmt: skip
    for what, given in {"encoder": encoder, **of_words}.items():
        if given is not None and over_bert != (what == "encoder"):
            fits = "has word vectors of its own" if what == "encoder" else "reads BERT's"
            raise ValueError(f"{name} {fits} and takes no {what}: leave it out.")
    if vector_words is not None and vectors is None:
        raise ValueError(
            "vector_words are the words of vectors, and there are none: give vectors too, or leave it out."
        )
    zoo.check(name, options or {})
    check_frozen(options or {}, vectors)
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; a batch holds at least 1.")
    labelled = data.train
    if teachers:
        data, changes["teacher_logits"] = _labelled_by(teachers, data, unlabelled)
    elif unlabelled:
        raise ValueError("unlabelled examples need teachers to label them: give teachers=[a trained classifier].")
    texts = data.train  # the teachers' texts are counted in the vocabulary too
    origin = {
        "model": name, "unit": unit, "minimum": minimum, "most": most, "vectors": None if vectors is None else str(vectors),
        "options": {key: str(value) for key, value in (options or {}).items()}, "teachers": len(teachers), "temperature": temperature,
        "weights of the teachers": ", ".join(weights_sha256(teacher.model)[:12] for teacher in teachers),
    }  # fmt: skip
    training.set_seed(seed)
    built: dict[str, Any] = dict(options or {})
    table_notes: tuple[str, ...] = ()
    if over_bert:
        from course_lib import pretrained

        encoder = encoder_of(name, encoder, texts)
        origin["encoder"] = str(encoder)
        tokenizer = pretrained.load_tokenizer(str(encoder))
        if training.is_main_process():
            warn_poor_match(texts, tokenizer)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*is new.*")  # we are about to train it
            model = zoo.build(name, len(data.labels), encoder=encoder, **built)
    else:
        words = [" ".join(texts_of(example)) for example in texts]
        tokenizer = make_vocabulary(words, unit, minimum=minimum, most=most)
        if vectors is not None:
            from course_lib.vectors import load_vectors

            tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
            found = load_vectors(vectors, tokens, built.get("embedding"), seed=seed, vocabulary=vector_words)
            built["vectors"] = found.matrix
            table_notes = found.notes
            data = data.replace(notes=(*data.notes, *found.notes))
        model = zoo.build(name, len(data.labels), len(tokenizer), **built)
        if name == "FastText":
            table_notes += crowded_note(words, unit, model.features)
    model.card["vocabulary"] = vocabulary_digest(tokenizer)  # into zoo.json
    if batch_size is None:
        batch_size = 32 if over_bert or len(texts) < _SMALL else 128
    recipe = usual_recipe(name, len(texts), batch_size, model) if recipe is None else recipe
    tuned = fine_tune(
        data,
        training.on_accelerator(model),
        tokenizer=tokenizer,
        recipe=recipe,
        output=output,
        resume=resume,
        batch_size=batch_size,
        reading=reading,
        seed=seed,
        watchers=watchers,
        progress=progress,
        temperature=temperature,
        made_from=origin,
        **changes,
    )
    tuned.data = data.replace(train=labelled)
    tuned.notes = (*table_notes, *tuned.notes)
    return tuned


def encoder_of(name: str, encoder: Any, texts: Any) -> Any:
    """The encoder that a model over BERT stands on: the one that is given, or its usual one for the texts."""
    from course_lib import zoo

    if encoder is not None:
        return encoder
    return zoo.ERNIE if name == "ERNIE" else usual_encoder(texts.texts[:1000])


def check_frozen(options: Mapping[str, Any], vectors: Any) -> None:
    """Raise ValueError where word vectors shall stay as they are, and are drawn at random."""
    if options.get("frozen") and vectors is None and "vectors" not in options:
        raise ValueError(
            "frozen keeps the vectors of a file as they are, and there are none: give vectors too (--vectors), or leave it out."
        )


def unknown_note(tuned: FineTuned, data: Any, choices: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence about the tokens of dev that a vocabulary made from train does not know, if they are many.

    Args:
        choices: minimum and most, as they were given to `train_classifier`; over BERT nothing is said.
    """
    if getattr(tuned.model.source, "bert", None) is not None:
        return ()
    part = "dev" if len(data.dev) else "train"
    share = unknown_share(data.splits[part].texts[:2000], tuned.tokenizer)
    if share <= TOO_UNKNOWN:
        return ()
    minimum, most = choices.get("minimum", MINIMUM), choices.get("most")
    how_often = {1: "", 2: " twice"}.get(minimum, f" {minimum} times")
    left_out, more = f"do not occur{how_often} in train", "a larger training set"
    if minimum > 1:
        more += f", or --minimum {minimum - 1},"
    if most is not None:
        left_out += f", or are not among its {most:,} most frequent tokens,"
        more = more.rstrip(",") + ", or a larger --most,"
    return (f"{share:.0%} of the tokens of {part} {left_out} and are read as [UNK]: {more} would know more.",)


def crowded_note(texts: Sequence[str], unit: str | None, fast_text: Any) -> tuple[str, ...]:
    """A sentence if FastText's table has fewer rows than the texts have different pairs of neighbours, so that most share one."""
    from course_lib.vocabulary import usual_unit

    rows, tables = fast_text.buckets, len(fast_text.grams)  # of pairs, triples, ...
    if not tables:
        return ()
    by_character = (usual_unit(texts) if unit is None else unit) == "characters"
    pairs: set[tuple[str, str]] = set()
    for text in texts:
        pairs.update(pairwise(text if by_character else text.split()))
    if len(pairs) <= rows:
        return ()
    enough = 10 ** len(str(2 * len(pairs) - 1))
    enough = next(n for n in (enough // 5, enough // 2, enough) if n >= 2 * len(pairs))
    without = " (and --option longest=2 leaves out triples, which are more still)" if tables > 1 else ""
    return (
        f"The texts have {len(pairs):,} different pairs of neighbours, and FastText {rows:,} rows for them, so most share a row: "
        f"--option buckets={enough} gives them room{without}.",
    )


def _labelled_by(teachers: Sequence[FineTuned], data: Any, unlabelled: Sequence[Any]) -> tuple[Any, Any]:
    """The data with the unlabelled examples, which get the label that the teachers hold likeliest; and (n, K) scores."""
    from course_lib.finetuning.distillation import check_teachers, soft_labels

    check_teachers(teachers)
    unlabelled = check_examples(unlabelled, (Example,), "unlabelled")
    if teachers[0].task.labels != tuple(data.labels):
        raise DataError(
            f"The teacher has the labels {', '.join(teachers[0].task.labels)}, and '{data.folder}' {', '.join(data.labels)}; give "
            "a teacher that was trained on the same labels in the same order."
        )
    known = list(data.train)
    scores = soft_labels(teachers, [*known, *unlabelled])
    likeliest = scores[len(known) :].argmax(dim=-1).tolist()
    added = [dataclasses.replace(one, label=label) for one, label in zip(unlabelled, likeliest, strict=True)]
    return data.replace(train=Examples([*known, *added])), scores


def usual_recipe(name: str, texts: int, batch_size: int, model: nn.Module) -> Recipe:
    """How a model of the zoo trains well: as its table says, with two things fitted to what is at hand.

    A set so small that the epochs of the table would be a few dozen steps is gone through more often. And an encoder
    narrower than BERT-base takes a higher rate: 5e-5 at 768, 1e-4 below 512.
    """
    from course_lib import zoo

    chosen = {"precision": "auto", **zoo.MODELS[name].recipe}
    over_bert = zoo.reads_bert(name)
    steps = -(-texts // batch_size)
    chosen["epochs"] = max(chosen["epochs"], -(-_STEPS_AT_LEAST[over_bert] // steps))
    if over_bert and model.source.size < 512:
        chosen["learning_rate"] *= 2
    return Recipe(**chosen)
