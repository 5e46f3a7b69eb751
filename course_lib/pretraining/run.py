"""`pretrain`: a corpus in; a vocabulary, a BERT with its pretraining heads, and what it learned out.

OUTPUT/
  config.json, model.safetensors     the best model on the held-out documents, as transformers reads it too
  tokenizer.json, ...                its tokenizer
  pretraining.json                   corpus, counts, recipe, scores, baselines, versions
  history.csv, probes.jsonl          every evaluation; what was guessed for the probes there
  choices.json                       what the run was begun with, which a resumed one is held to
  checkpoints/                       while it goes on: where to resume it
  train/, dev/                       the corpus as ids (`TokenDocuments`); may be removed when the run is over

Tokenizer and card are there from the beginning, and the best model so far from the first evaluation on, so that whoever
stops a run has a model to use. "finished" in the card says whether it came to its end.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import metrics, training
from course_lib.config import BertConfig
from course_lib.corpus import Corpus
from course_lib.errors import ModelFilesError, TrainingError
from course_lib.heads import BertForMaskedLM, BertForPreTraining
from course_lib.masking import IGNORED
from course_lib.positions import begin_as_sinusoids
from course_lib.pretraining.baselines import NGrams
from course_lib.pretraining.batches import PretrainingBatches
from course_lib.pretraining.probes import Probes
from course_lib.pretraining.tokens import TokenDocuments, open_tokens, tokenize, vocabulary_checksum, write_tokens
from course_lib.training import Evaluation, Recipe, Training, Watcher, disk
from course_lib.training.sharing import accelerator
from course_lib.wordpiece import train_wordpiece

# The sizes of "Well-Read Students Learn Better" (Turc et al. 2019) and of the original.
SIZES = {
    "tiny": {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512},
    "mini": {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024},
    "small": {"num_hidden_layers": 4, "hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 2048},
    "base": {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
}

# Adam's rate grows as models shrink: the paper's 1e-4 is for 12 layers of 768, in batches of 131,072 tokens.
PRETRAINING = Recipe(
    steps=10_000, learning_rate=5e-4, weight_decay=0.01, schedule="linear", warmup=0.05, clip=1.0, precision="auto",
    evaluate_every=500, metric="loss",
)  # fmt: skip

_CARD = "pretraining.json"
_DEV_ROWS = 512  # rows of held-out text that an evaluation reads


class PretrainingLoss:
    """Hidden words and, for a head with both, pairs: two means, over the hidden tokens and over the rows.

    loss = mean over hidden tokens of ce + mean over rows of ce
    """

    def __init__(self, pairs: bool) -> None:
        self.pairs = pairs
        self.arguments: dict[str, Any] = {"full_logits": False}  # scores for the hidden places alone

    def items(self, batch: Mapping[str, Tensor]) -> list[float]:
        """Hidden tokens, and rows."""
        words = float((batch["labels"] != IGNORED).sum())
        return [words, float(len(batch["labels"]))] if self.pairs else [words]

    def __call__(self, answer: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The terms, (2,) or (1,)."""
        if self.pairs:
            return torch.stack([answer.word_loss, answer.sentence_loss])
        return answer.loss.reshape(1)


def kept_counts(answer: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What an evaluation keeps, (B,) each: hidden words, those guessed right, their loss; pairs guessed right."""
    labels = batch["labels"]
    hidden = (labels != IGNORED).cpu()
    logits = getattr(answer, "prediction_logits", None)
    logits = (answer.logits if logits is None else logits).float().cpu()
    wanted = labels.cpu()[hidden]
    right, loss = torch.zeros(hidden.shape), torch.zeros(hidden.shape)
    right[hidden] = (logits.argmax(dim=-1) == wanted).float()
    loss[hidden] = nn.functional.cross_entropy(logits, wanted, reduction="none")
    kept = {"hidden": hidden.sum(dim=1).float(), "right": right.sum(dim=1), "word_loss": loss.sum(dim=1)}
    if "next_sentence_label" in batch:
        kept["pairs_right"] = (
            (answer.seq_relationship_logits.argmax(dim=-1).cpu() == batch["next_sentence_label"].cpu()).float()
        )  # fmt: skip
    return kept


def pretraining_scores(found: Evaluation) -> dict[str, float]:
    """loss; of the hidden words word_loss, perplexity and accuracy; of pairs sentence_accuracy."""
    kept = found.outputs
    hidden = kept["hidden"].sum().item()
    word_loss = kept["word_loss"].sum().item() / hidden if hidden else float("nan")
    scores = {
        "loss": found.loss,
        "word_loss": word_loss,
        "perplexity": metrics.perplexity(word_loss),
        "accuracy": kept["right"].sum().item() / hidden if hidden else float("nan"),
    }
    if "pairs_right" in kept:
        scores["sentence_accuracy"] = kept["pairs_right"].mean().item()
    return scores


@dataclass
class Pretrained:
    """A pretrained model with its tokenizer, and the history of its run."""

    model: nn.Module
    tokenizer: Any
    history: Training | None
    card: dict[str, Any]
    dev: TokenDocuments | None = None

    def fill_mask(self, text: str, most: int = 5) -> list[dict[str, Any]]:
        """The likeliest words at the first [MASK] of a text, with their probabilities."""
        from course_lib.pretraining.probes import fill_mask

        return fill_mask(self.model, self.tokenizer, text, most)

    def neighbours(self, word: str, most: int = 5) -> list[tuple[str, float]]:
        """The tokens whose rows of the word table are closest to a token's, by cosine."""
        from course_lib.pretraining.probes import neighbours

        return neighbours(self.model, self.tokenizer, word, most)

    def save(self, folder: str | Path, *, half: bool = False, positions: int | None = None) -> Path:
        """Model, tokenizer and card into a folder, as transformers and `load_pretrained` read them.

        Args:
            half: numbers of 16 bits in the file, which is half as big; config.json says float32, so whoever loads it
                gets 32 bits. A weight changes by 1 / 2,048 of itself at most.
            positions: keep so many rows of the position table, such as the length of the rows that were trained on: what
                comes after them is as it was drawn, and a longer text would get numbers that mean nothing.

        Raises:
            TrainingError: the folder cannot be written.
            ValueError: more positions than there are.
        """
        if positions is not None:
            return dataclasses.replace(self, model=_with_positions(self.model, positions)).save(folder, half=half)

        folder = Path(folder).expanduser()
        training.prepare_output(folder, resume=True)
        if half:
            _save_half(self.model, folder)
        else:
            training.save_model(self.model, folder)
        longest = self.tokenizer.model_max_length
        self.tokenizer.model_max_length = min(longest, self.model.config.max_position_embeddings)
        try:
            training.save_tokenizer(self.tokenizer, folder)
        finally:
            self.tokenizer.model_max_length = longest
        _write(folder / _CARD, self.card)
        return folder

    def __str__(self) -> str:
        return json.dumps(self.card, indent=2, ensure_ascii=False)


def pretrain(
    corpus: Corpus,
    config: str | BertConfig = "mini",
    *,
    model: str | Path | None = None,
    tokenizer: Any = None,
    vocabulary: int = 8000,
    lowercase: bool = True,
    dev: Corpus | float = 0.02,
    pairs: bool = False,
    length: int = 128,
    batch_tokens: int | None = 8192,
    batch_size: int | None = None,
    crossing: bool = True,
    whole_words: bool = False,
    counted: bool = False,
    dropout: float | None = None,
    waves: bool = False,
    recipe: Recipe = PRETRAINING,
    output: str | Path | None = None,
    resume: bool = False,
    seed: int = 0,
    probes: Probes | None = None,
    watchers: Sequence[Watcher] = (),
    progress: bool | None = None,
    **changes: Any,
) -> Pretrained:
    """Pretrain a BERT on running text: hidden words, and with `pairs` next sentence prediction too.

    Args:
        corpus: of `read_corpus` or `docstrings`.
        config: tiny, mini, small, base, or a BertConfig.
        model: go on with this model (a folder or a name) in place of a new one; its tokenizer comes with it, and another
            vocabulary is refused.
        tokenizer: None trains a WordPiece vocabulary of `vocabulary` entries on the corpus, with `lowercase` or without.
        dev: held-out documents: a corpus, or the share of this one that is held out.
        pairs: next sentence prediction (BertForPreTraining); else hidden words alone (BertForMaskedLM).
        length: the most tokens a row.
        batch_tokens, batch_size: positions, and rows, a batch.
        crossing: may a row without pairs go on with the next document?
        whole_words, counted: how words are hidden (`mask_tokens`).
        dropout: in place of the 0.1 of the original; 0 learns more in a short run.
        waves: let the positions of a new model begin as sinusoids (`positions`), which shortens the plateau at the start.
        recipe: how to train; `changes` are fields of it, as in `pretrain(corpus, steps=200)`.
        output: a folder for all of it; a run that was cut off goes on from there with resume=True, and one that is over
            is read from there.
        seed: of new weights, dropout, rows and hidden words.
        probes: sentences with [MASK], and words whose neighbours are looked at, during training.
        watchers, progress: as in `training.fit`.

    Raises:
        DataError: an empty corpus, or a single document where some are held out or pairs are asked for; a probe without
            [MASK].
        TrainingError: see `training.fit`; an output folder of another run.
        ValueError: a choice that makes no sense; a tokenizer that does not fit the configuration or the model.
        KeyboardInterrupt: somebody stopped it; see `training.fit`. What is in `output` by then can be used.
    """
    recipe = recipe.but(**changes)
    if isinstance(config, str) and config not in SIZES:
        raise ValueError(f"config is {config!r}; it may be {', '.join(SIZES)}, or a BertConfig.")
    folder = None if output is None else Path(output).expanduser()
    choices = {
        "config": config if isinstance(config, str) else dataclasses.asdict(config),
        "from": None if model is None else str(model), "corpus": corpus.name, "pairs": pairs, "length": length,
        "batch_tokens": batch_tokens, "batch_size": batch_size, "crossing": crossing, "whole_words": whole_words,
        "counted": counted, "dropout": dropout, "waves": waves, "vocabulary": vocabulary, "seed": seed,
    }  # fmt: skip
    if folder is not None:
        training.prepare_output(folder, resume=resume)
        _same_choices(folder, choices, resume)
        if resume and training.is_finished(folder / _CARD):
            return _finished(folder, recipe)
    train_corpus, dev_corpus = corpus.split(dev) if isinstance(dev, float) else (corpus, dev)
    tokenizer = _tokenizer(tokenizer, model, train_corpus, vocabulary, lowercase, folder)
    train = _tokens(train_corpus, tokenizer, folder, "train")
    held_out = _tokens(dev_corpus, tokenizer, folder, "dev")
    training.set_seed(seed)
    built = _model(config, model, tokenizer, pairs, length, dropout)
    if waves and model is None:
        begin_as_sinusoids(built)
    sizes = {"length": length, "tokens": batch_tokens, "size": batch_size, "pairs": pairs, "crossing": crossing}
    masks = {"whole_words": whole_words, "counted": counted}
    batches = PretrainingBatches(train, tokenizer, **sizes, **masks, shuffle=seed)
    dev_batches = PretrainingBatches(held_out, tokenizer, **sizes, **masks, shuffle=None, rows=_DEV_ROWS)
    card = {
        **choices,
        "sources": dict(corpus.versions),
        "notes": list(corpus.notes),
        "train": _counts(train),
        "dev": _counts(held_out),
        "parameters": sum(p.numel() for p in built.parameters()),
        "recipe": dataclasses.asdict(recipe),
        "versions": training.versions(),
    }
    everyone = list(watchers) if folder is None else [_Beside(folder, tokenizer, card), *watchers]
    if probes is not None:
        probes.attach(built, tokenizer, None if folder is None else folder / "probes.jsonl", anew=not resume)
        everyone.append(probes)
    begin = perf_counter()
    history = training.fit(
        built,
        batches,
        dev_batches,
        recipe=recipe,
        output=folder,
        resume=resume,
        loss=PretrainingLoss(pairs),
        keep=kept_counts,
        score=pretraining_scores,
        watchers=everyone,
        progress=progress,
    )
    baselines = NGrams(train, len(tokenizer)).scores(dev_batches, tokenizer)
    card |= {
        "kept": {"step": history.kept.step, **history.kept.scores},
        "baselines": baselines,
        "seconds": round(history.records[-1].seconds, 1),
        "seconds_of_this_call": round(perf_counter() - begin, 1),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": True,
    }
    if folder is not None and training.is_main_process():
        _write(folder / _CARD, card, disk.GO_ON)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # the run is over: nothing to go on from
    return Pretrained(built, tokenizer, history, card, held_out)


class _Beside(Watcher):
    """Puts the tokenizer and the card into the folder when the run begins: its best model so far is used with them."""

    def __init__(self, folder: Path, tokenizer: Any, card: Mapping[str, Any]) -> None:
        self.folder, self.tokenizer, self.card = folder, tokenizer, card

    def begin(self, steps: int | None, done: int) -> None:
        """Only now is it known that the folder is this run's."""
        training.save_tokenizer(self.tokenizer, self.folder, disk.GO_ON)
        _write(self.folder / _CARD, {**self.card, "finished": False}, disk.GO_ON)


def load_pretrained(folder: str | Path) -> Pretrained:
    """What `pretrain` wrote into its output folder.

    Raises:
        ModelFilesError: there is no such folder, or not of this kind, or the run has no model yet.
    """
    from course_lib import pretrained

    folder = Path(folder).expanduser()
    try:
        card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
        pairs = card["pairs"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelFilesError(
            f"'{folder}' has no readable {_CARD}; give a folder that `python -m course_lib pretrain --output` wrote."
        ) from error
    if not card.get("finished", True) and not (folder / "model.safetensors").is_file():
        raise ModelFilesError(
            f"'{folder}' has no model yet: its run goes on, or was stopped before it was evaluated; the command that began "
            "it, with --resume (resume=True), goes on with it."
        )
    model = (BertForPreTraining if pairs else BertForMaskedLM).from_pretrained(folder).eval()
    return Pretrained(model, pretrained.load_tokenizer(str(folder)), None, card)


def _finished(folder: Path, recipe: Recipe) -> Pretrained:
    """What an earlier run left in its folder.

    Raises:
        TrainingError: it had another recipe.
    """
    done = load_pretrained(folder)
    before, now = dict(done.card["recipe"]), dataclasses.asdict(recipe)
    del now["save_every"]  # it changes nothing of the model
    training.check_made_from(folder, before, now)
    done.dev = open_tokens(folder / "dev", done.tokenizer) if (folder / "dev").is_dir() else None
    return done


def _same_choices(folder: Path, choices: dict[str, Any], resume: bool) -> None:
    """A run goes on with the choices it began with."""
    kept = folder / "choices.json"
    if resume and kept.is_file():
        before = json.loads(kept.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(choices))
        before = {**dict.fromkeys(now), **before}  # one that is missing there differs, too
        training.check_made_from(folder, before, now)
        return
    if (folder / _CARD).is_file() or kept.is_file():
        raise TrainingError(f"'{folder}' has a pretraining run already; give another folder, or resume it.")
    accelerator().wait_for_everyone()  # else a process could find what another one has just written
    if training.is_main_process():
        _write(kept, choices)


def _tokenizer(
    given: Any, model: str | Path | None, corpus: Corpus, size: int, lowercase: bool, folder: Path | None
) -> Any:
    from course_lib import pretrained

    if given is None and model is not None:
        return pretrained.load_tokenizer(str(model))
    if given is not None:
        asked = pretrained.load_tokenizer(str(given)) if isinstance(given, str | Path) else given
        if model is not None:
            _same_vocabulary(asked, model)
        return asked
    with _main_first():
        if folder is not None and (folder / "tokenizer.json").is_file():  # of a run that is resumed, or just made
            from transformers import BertTokenizer

            return BertTokenizer.from_pretrained(folder)  # as a folder without a model's config.json yet
        made = train_wordpiece((s for d in corpus.documents for s in d.sentences), size, lowercase=lowercase)
        if folder is not None:
            training.save_tokenizer(made, folder)
    return made


def _same_vocabulary(tokenizer: Any, model: str | Path) -> None:
    from course_lib import pretrained

    try:
        own = pretrained.load_tokenizer(str(model))
    except ModelFilesError:
        return  # weights alone: there is nothing to compare with
    if vocabulary_checksum(own) != vocabulary_checksum(tokenizer):
        raise ValueError(
            f"The model '{model}' has another vocabulary ({len(own):,} entries) than the tokenizer ({len(tokenizer):,}), so "
            "its ids would mean other words to the model: leave the tokenizer out, or begin with a new model."
        )


def _tokens(corpus: Corpus, tokenizer: Any, folder: Path | None, name: str) -> TokenDocuments:
    if folder is None:
        return tokenize(corpus.documents, tokenizer)
    with _main_first():
        place = folder / name
        if place.is_dir():
            return open_tokens(place, tokenizer)
        return write_tokens(corpus.documents, tokenizer, place, corpus=corpus.name, sources=dict(corpus.versions))


def _main_first() -> Any:
    """The first process does it and writes files; the others then find them."""
    return accelerator().main_process_first()


def _model(
    config: str | BertConfig, start: str | Path | None, tokenizer: Any, pairs: bool, length: int, dropout: float | None
) -> nn.Module:
    kind = BertForPreTraining if pairs else BertForMaskedLM
    drop = {} if dropout is None else {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    if start is not None:
        built = kind.from_pretrained(start, **drop)
    else:
        if isinstance(config, str):
            config = BertConfig(
                vocab_size=len(tokenizer), max_position_embeddings=max(512, length), pad_token_id=tokenizer.pad_token_id,
                **SIZES[config],
            )  # fmt: skip
        built = kind(dataclasses.replace(config, **drop))
    have, need = built.config.vocab_size, len(tokenizer)
    if have < need:
        raise ValueError(
            f"The model has a vocabulary of {have:,} and the tokenizer one of {need:,}: ids from {have:,} on would have no "
            f"row in the word table; give vocab_size={need}, or the tokenizer that the model was made with."
        )
    if built.config.max_position_embeddings < length:
        raise ValueError(
            f"length is {length} and the model has positions for {built.config.max_position_embeddings} tokens; give a "
            "smaller length."
        )
    return training.on_accelerator(built)


def _with_positions(model: nn.Module, positions: int) -> nn.Module:
    """The same model with fewer positions."""
    config = model.config
    if not 1 <= positions <= config.max_position_embeddings:
        raise ValueError(f"positions is {positions}; the model has {config.max_position_embeddings}, so 1 to that fit.")
    smaller = type(model)(dataclasses.replace(config, max_position_embeddings=positions))
    name = "bert.embeddings.position_embeddings.weight"
    weights = model.state_dict()
    smaller.load_state_dict({**weights, name: weights[name][:positions]})
    return smaller.eval()


def _counts(documents: TokenDocuments) -> dict[str, int]:
    return {
        "documents": len(documents), "sentences": len(documents.sentences) - 1, "tokens": documents.tokens
    }  # fmt: skip


def _save_half(model: nn.Module, folder: Path) -> None:
    """The model, its numbers in the file of 16 bits."""
    from safetensors.torch import load_file, save_file

    with disk.whole_files(folder, "The model") as part:
        training.save_model(model, part)
        path, half = part / "model.safetensors", part / "half.safetensors"
        save_file({name: w.half() for name, w in load_file(path).items()}, half, metadata={"format": "pt"})
        half.replace(path)


def _write(path: Path, content: Any, then: str = disk.ELSEWHERE) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"
    disk.write_whole(path, text, f"{path.name} of the run", then)
