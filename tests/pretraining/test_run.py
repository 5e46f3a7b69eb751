"""From text to a model: the losses of transformers, runs that go on, faults that are said."""

import dataclasses
import errno
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
from stopping import StopAt

from course_lib.__main__ import main
from course_lib.corpus import read_corpus
from course_lib.errors import DataError, ModelFilesError, TrainingError
from course_lib.heads import BertForMaskedLM, BertForPreTraining
from course_lib.pretraining import (
    NGrams,
    PretrainingBatches,
    PretrainingLoss,
    Probes,
    kept_counts,
    load_pretrained,
    pretrain,
    pretraining_scores,
)
from course_lib.training import evaluate
from course_lib.wordpiece import train_wordpiece

RUN = {
    "steps": 6, "length": 24, "batch_tokens": 400, "evaluate_every": 3, "learning_rate": 2e-3, "precision": "float32",
    "dev": 0.3,
}  # fmt: skip


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def full_disk_at(monkeypatch, name):
    """From now on the disk takes no more than half of the file with this name, whichever library writes it."""
    import safetensors.torch
    from transformers import PreTrainedTokenizerBase

    said = []
    write, open_, save, save_file = (
        Path.write_bytes, Path.open, PreTrainedTokenizerBase.save_pretrained, safetensors.torch.save_file
    )  # fmt: skip

    def written(path, content):
        if path.name in (name, f"{name}.part"):
            write(path, content[: len(content) // 2])
            said.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    class Half(io.BytesIO):
        def write(self, content):
            said.append(name)
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(path, *arguments, **options):
        return Half() if path.name == name and arguments[:1] == ("wb",) else open_(path, *arguments, **options)

    def saved(tokenizer, folder, *arguments, **options):
        if name == "tokenizer.json":
            write(Path(folder) / name, b"half")
            said.append(folder)
            raise Exception("No space left on device (os error 28)")
        return save(tokenizer, folder, *arguments, **options)

    def saved_file(tensors, path, *arguments, **options):
        if Path(path).name == name:
            write(Path(path), b"half")
            said.append(path)
            raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")
        return save_file(tensors, path, *arguments, **options)

    monkeypatch.setattr(Path, "write_bytes", written)
    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(PreTrainedTokenizerBase, "save_pretrained", saved)
    monkeypatch.setattr(safetensors.torch, "save_file", saved_file)
    return said


@pytest.fixture(scope="module")
def done(corpus, tokenizer, small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained") / "out"
    probes = Probes(["the [MASK] is here."], ["the", "nosuchword"], most=3)
    result = pretrain(corpus, small, tokenizer=tokenizer, pairs=True, output=folder, probes=probes, **RUN)
    return result, folder, probes


@pytest.mark.parametrize("pairs", [True, False])
def test_losses_and_gradients_are_those_of_transformers(documents, tokenizer, small, pairs) -> None:
    import transformers

    config = dataclasses.replace(small, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    ours = (BertForPreTraining if pairs else BertForMaskedLM)(config).train()
    theirs = getattr(transformers, type(ours).__name__)(
        transformers.BertConfig(**dict(config.to_dict().items()), attn_implementation="eager")
    ).train()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    loss = PretrainingLoss(pairs)
    for number, batch in enumerate(PretrainingBatches(documents, tokenizer, length=24, tokens=300, pairs=pairs)):
        answer = ours(**batch, **loss.arguments)
        expected = theirs(**batch).loss
        assert torch.allclose(loss(answer, batch).sum(), expected, atol=1e-5)
        assert torch.allclose(answer.loss, expected, atol=1e-5)
        ours.zero_grad(), theirs.zero_grad()
        loss(answer, batch).sum().backward()
        expected.backward()
        gradients = dict(theirs.named_parameters())
        for name, parameter in ours.named_parameters():
            assert torch.allclose(parameter.grad, gradients[name].grad, atol=1e-5), name
        if number == 2:
            break


def test_scores_count_words_and_pairs_of_all_batches(documents, tokenizer, small) -> None:
    model = BertForPreTraining(small).eval()
    batches = PretrainingBatches(documents, tokenizer, length=24, tokens=200, pairs=True, shuffle=None)
    found = evaluate(model, batches, loss=PretrainingLoss(True), keep=kept_counts)
    scores = pretraining_scores(found)
    right = hidden = pairs = rows = 0
    loss = 0.0
    for batch in batches:
        with torch.no_grad():
            answer = model(**batch)
        chosen = batch["labels"] != -100
        right += (answer.prediction_logits.argmax(-1) == batch["labels"])[chosen].sum().item()
        hidden += chosen.sum().item()
        loss += answer.word_loss.item() * chosen.sum().item()
        pairs += (answer.seq_relationship_logits.argmax(-1) == batch["next_sentence_label"]).sum().item()
        rows += len(batch["labels"])
    assert scores["accuracy"] == pytest.approx(right / hidden) and scores["word_loss"] == pytest.approx(loss / hidden)
    assert scores["sentence_accuracy"] == pytest.approx(pairs / rows)
    assert scores["loss"] > scores["word_loss"]  # with that of the pairs


def test_it_learns_a_text_that_repeats(tmp_path, tokenizer, small) -> None:
    (tmp_path / "text.txt").write_text("\n\n".join(["the sea is blue and the sand is white"] * 60), encoding="utf-8")
    corpus = read_corpus(tmp_path / "text.txt")
    done = pretrain(
        corpus, dataclasses.replace(small, hidden_dropout_prob=0.0), tokenizer=tokenizer,
        **{**RUN, "dev": corpus, "steps": 60, "evaluate_every": 30, "learning_rate": 1e-2},
    )  # fmt: skip
    first, last = done.history.records[0].scores, done.history.kept.scores
    assert last["accuracy"] > 0.9 > 0.5 > done.card["baselines"]["unigram_accuracy"]
    assert last["word_loss"] < done.card["baselines"]["unigram_entropy"] < first["word_loss"]
    assert done.fill_mask("[MASK] sea is blue and the sand is white", 1)[0]["token"] == "the"


def test_the_folder_has_all_of_it(done) -> None:
    result, folder, probes = done
    names = {path.name for path in folder.iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "pretraining.json",
        "history.csv",
        "train",
        "dev",
    } <= names
    assert "checkpoints" not in names
    card = json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))
    assert card["kept"] == {"step": result.history.kept.step, **result.history.kept.scores}
    assert card["train"]["tokens"] > card["dev"]["tokens"] > 0 and card["recipe"]["steps"] == 6
    assert set(card["baselines"]) >= {"unigram_entropy", "unigram_accuracy", "trigram_accuracy"}
    again = load_pretrained(folder)
    assert same(weights(again.model), weights(result.model)) and isinstance(again.model, BertForPreTraining)
    text = "the [MASK] is here."
    assert again.fill_mask(text) == result.fill_mask(text)
    rows = [json.loads(line) for line in (folder / "probes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [record.step for record in result.history.records]
    assert probes.tokens == ("the",) and len(rows[0]["texts"][text]) == 3
    assert rows[-1]["texts"][text] == result.fill_mask(text, 3)
    assert rows[-1]["neighbours"]["the"] == [list(pair) for pair in result.neighbours("the", 3)]


def test_transformers_fills_the_mask_as_we_do(done) -> None:
    from transformers import pipeline

    result, folder, _ = done
    theirs = pipeline("fill-mask", model=str(folder), tokenizer=str(folder))("the [MASK] is here.")
    ours = result.fill_mask("the [MASK] is here.")
    assert [one["token_str"] for one in theirs] == [one["token"] for one in ours]
    assert [one["score"] for one in theirs] == pytest.approx([one["score"] for one in ours], abs=1e-4)


def test_half_the_bits_are_half_the_file_and_load_as_whole_ones(done, tmp_path) -> None:
    from transformers import AutoModelForPreTraining

    result, folder, _ = done
    half = result.save(tmp_path / "half", half=True)
    sizes = [(place / "model.safetensors").stat().st_size for place in (folder, half)]
    assert sizes[1] < 0.6 * sizes[0]
    whole, again = weights(result.model), weights(load_pretrained(half).model)
    assert again.keys() == whole.keys() and all(w.dtype == torch.float32 for w in again.values())
    assert all(((again[n] - w).abs() <= w.abs() / 2048 + 1e-7).all() for n, w in whole.items())
    theirs = AutoModelForPreTraining.from_pretrained(half)
    assert theirs.dtype == torch.float32
    assert torch.equal(theirs.bert.embeddings.word_embeddings.weight, again["bert.embeddings.word_embeddings.weight"])


def test_positions_that_were_not_trained_can_be_left_out(done, tmp_path) -> None:
    result, _, _ = done
    again = load_pretrained(result.save(tmp_path / "short", positions=24))
    assert again.model.config.max_position_embeddings == again.tokenizer.model_max_length == 24
    assert result.model.config.max_position_embeddings == 48 and result.tokenizer.model_max_length == 512
    text = "the [MASK] is here."
    assert again.fill_mask(text) == result.fill_mask(text)
    with pytest.raises(ValueError, match="1 to that fit"):
        result.save(tmp_path / "long", positions=49)


@pytest.mark.parametrize("at", [1, 4, 5])
def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(corpus, small, tmp_path, done, tokenizer, at) -> None:
    options = {**RUN, "pairs": True, "save_every": 2}
    whole = pretrain(corpus, small, vocabulary=400, output=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, small, vocabulary=400, output=tmp_path / "cut", watchers=[StopAt(at)], **options)
    resumed = pretrain(corpus, small, vocabulary=400, output=tmp_path / "cut", resume=True, **options)
    assert same(weights(resumed.model), weights(whole.model))
    assert [r.scores for r in resumed.history.records] == [r.scores for r in whole.history.records]


def test_it_goes_on_with_the_choices_it_began_with(corpus, small, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, small, vocabulary=400, output=tmp_path / "out", watchers=[StopAt(2)], **RUN)
    for change in ({"length": 20}, {"pairs": True}, {"seed": 5}, {"whole_words": True}):
        with pytest.raises(TrainingError, match="other choices"):
            pretrain(corpus, small, vocabulary=400, output=tmp_path / "out", resume=True, **{**RUN, **change})
    with pytest.raises(TrainingError, match="other choices"):
        pretrain(corpus, "tiny", vocabulary=400, output=tmp_path / "out", resume=True, **RUN)
    with pytest.raises(TrainingError, match="another recipe"):
        pretrain(corpus, small, vocabulary=400, output=tmp_path / "out", resume=True, **{**RUN, "learning_rate": 1e-4})
    with pytest.raises(TrainingError, match="has the checkpoints of a run already"):
        pretrain(corpus, small, vocabulary=400, output=tmp_path / "out", **RUN)


def test_it_goes_on_from_a_model_with_longer_rows(done, corpus) -> None:
    result, folder, _ = done
    more = pretrain(corpus, model=folder, **{**RUN, "steps": 2, "length": 40, "learning_rate": 1e-5}, pairs=True)
    assert len(more.tokenizer) == len(result.tokenizer)
    difference = max(
        (a - b).abs().max() for a, b in zip(more.model.parameters(), result.model.parameters(), strict=True)
    )
    assert 0 < difference < 1e-3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": "huge"}, "tiny, mini, small, base"),
        ({"length": 100}, "positions for 48"),
        ({"steps": 0}, "at least 1"),
        ({"length": 2}, "special tokens"),
    ],
)
def test_choices_that_make_no_sense(corpus, tokenizer, small, change, words) -> None:
    with pytest.raises(ValueError, match=words):
        pretrain(corpus, **{"config": small, "tokenizer": tokenizer, **RUN, **change})


def test_a_vocabulary_that_does_not_fit_the_model(corpus, tokenizer, small) -> None:
    with pytest.raises(ValueError, match="vocabulary of 390 and the tokenizer one of 400"):
        pretrain(corpus, dataclasses.replace(small, vocab_size=390), tokenizer=tokenizer, **RUN)


def test_another_vocabulary_than_the_models_own(done, corpus) -> None:
    _, folder, _ = done
    smaller = train_wordpiece(corpus.sentences(), 390)
    with pytest.raises(ValueError, match=r"another vocabulary \(400 entries\) than the tokenizer \(390\)"):
        pretrain(corpus, model=folder, tokenizer=smaller, **RUN)


def test_a_probe_without_a_mask_is_refused_before_training(corpus, tokenizer, small, tmp_path) -> None:
    with pytest.raises(DataError, match=r"'no mask' has no \[MASK\]"):
        pretrain(corpus, small, tokenizer=tokenizer, probes=Probes(["no mask"]), output=tmp_path / "out", **RUN)
    assert not (tmp_path / "out").exists()  # so that the next attempt is not taken for a second run


def test_one_document_has_no_pairs(tmp_path, tokenizer, small) -> None:
    (tmp_path / "one.txt").write_text("the sea is blue\nthe sand is white\n", encoding="utf-8")
    corpus = read_corpus(tmp_path / "one.txt")
    with pytest.raises(DataError, match="another one"):
        pretrain(corpus, small, tokenizer=tokenizer, pairs=True, **{**RUN, "dev": corpus})


def test_a_finished_run_is_not_overwritten(done, corpus, small) -> None:
    _, folder, _ = done
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="has a pretraining run already"):
        pretrain(corpus, small, vocabulary=400, output=folder, **RUN)
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_finished_run_that_is_resumed_is_read(corpus, small, tmp_path) -> None:
    options = {"vocabulary": 400, "output": tmp_path / "out", **RUN}
    first = pretrain(corpus, small, **options)
    before = files(tmp_path / "out")
    again = pretrain(corpus, small, resume=True, save_every=2, **options)
    assert files(tmp_path / "out") == before
    assert again.history is None and again.card["kept"] == first.card["kept"]
    assert same(weights(again.model), weights(first.model)) and again.dev.tokens == first.dev.tokens
    with pytest.raises(TrainingError, match=r"another recipe|other choices"):
        pretrain(corpus, small, resume=True, **{**options, "steps": 8})
    assert files(tmp_path / "out") == before


def test_a_run_that_was_stopped_leaves_a_model_to_use(corpus, small, tmp_path) -> None:
    from transformers import AutoTokenizer

    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt, match=r"has nothing yet|there is no best model yet"):
        pretrain(corpus, small, vocabulary=400, output=folder, watchers=[StopAt(2)], **RUN)
    with pytest.raises(ModelFilesError, match=r"has no model yet.*--resume"):
        load_pretrained(folder)
    with pytest.raises(KeyboardInterrupt, match="has the best model so far"):
        pretrain(corpus, small, vocabulary=400, output=folder, resume=True, watchers=[StopAt(4)], **RUN)
    stopped = load_pretrained(folder)
    assert stopped.card["finished"] is False and "kept" not in stopped.card
    assert len(AutoTokenizer.from_pretrained(folder)) == len(stopped.tokenizer) == 400
    assert len(stopped.fill_mask("the [MASK] is here.")) == 5
    done = pretrain(corpus, small, vocabulary=400, output=folder, resume=True, **RUN)
    assert done.card["finished"] is True and load_pretrained(folder).card["kept"] == done.card["kept"]


def test_probes_of_a_run_that_went_back_are_there_once(corpus, small, tokenizer, tmp_path) -> None:
    text = "the [MASK] is here."
    options = {"tokenizer": tokenizer, "output": tmp_path / "out", **RUN}
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, small, probes=Probes([text]), watchers=[StopAt(5)], **options)
    for folder in (tmp_path / "out" / "checkpoints").iterdir():
        if not folder.name.endswith("0"):
            shutil.rmtree(folder)  # as if it had been killed before it wrote them
    with (tmp_path / "out" / "probes.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 3, "te')  # and within a line
    resumed = Probes([text])
    pretrain(corpus, small, probes=resumed, resume=True, **options)
    rows = [json.loads(line) for line in (tmp_path / "out" / "probes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [row["step"] for row in resumed.rows] == [3, 6]


FULL = {
    "choices.json": r"^choices\.json of the run cannot be written to",
    "tokenizer.json": "^The tokenizer cannot be written to",
    "tokens.bin": "^The tokens of the corpus cannot be written to",
    "pretraining.json": r"^pretraining\.json of the run cannot be written to",
    "probes.jsonl": "^What was guessed for the probes cannot be written to",
}


@pytest.mark.parametrize("name", FULL)
def test_a_full_disk_is_one_sentence(corpus, small, tmp_path, monkeypatch, name) -> None:
    folder = tmp_path / "out"
    said = full_disk_at(monkeypatch, name)
    options = {"vocabulary": 400, "output": folder, **RUN}
    with pytest.raises(
        TrainingError, match=rf"{FULL[name]} .*: its disk is full \(.*No space left.*\)\. Free some space"
    ):
        pretrain(corpus, small, probes=Probes(["the [MASK] is here."]), **options)
    assert said and not [path for path in folder.rglob("*") if path.suffix == ".part" and any(path.iterdir())]
    monkeypatch.undo()
    resumed = pretrain(corpus, small, probes=Probes(["the [MASK] is here."]), resume=True, **options)
    whole = pretrain(corpus, small, probes=Probes(["the [MASK] is here."]), **{**options, "output": tmp_path / "whole"})
    assert same(weights(resumed.model), weights(whole.model))


def test_a_full_disk_leaves_the_model_that_was_there(done, tmp_path, monkeypatch) -> None:
    result, _, _ = done
    result.save(tmp_path / "model")
    before = files(tmp_path / "model")
    for name, half in (("half.safetensors", True), ("tokenizer.json", False)):
        full_disk_at(monkeypatch, name)
        with pytest.raises(TrainingError, match="its disk is full"):
            result.save(tmp_path / "model", half=half)
        monkeypatch.undo()
        assert files(tmp_path / "model") == before and result.tokenizer.model_max_length == 512


def test_no_folder_of_ours(tmp_path) -> None:
    with pytest.raises(ModelFilesError, match=r"no readable pretraining\.json"):
        load_pretrained(tmp_path)


def test_baselines_are_those_of_the_training_text(done, documents) -> None:
    result, _, _ = done
    assert 0 < result.card["baselines"]["unigram_entropy"] <= NGrams(documents, 400).entropy * 1.1


def test_the_command(tmp_path, capsys) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"the sea is blue.\nthe sand is white at {n}." for n in range(40)), encoding="utf-8")
    command = [
        "pretrain", "--corpus", str(text), "--output", str(tmp_path / "out"), "--config", "tiny", "--vocabulary", "80",
        "--steps", "4", "--length", "16", "--batch-tokens", "200", "--evaluate-every", "2", "--hold-out", "0.2",
        "--probe", "the [MASK] is blue.", "--pairs", "--whole-words", "--counted", "--warmup", "2",
    ]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr()
    assert "trigram_accuracy" in said.out and f"The model is in '{tmp_path / 'out'}'." in said.out
    assert "40 documents" in said.err
    assert main(command) == 1
    assert "already" in capsys.readouterr().err
    assert main([*command[:-2], "--hold-out", "2", "--output", str(tmp_path / "b")]) == 1
    assert "one share between 0 and 1" in capsys.readouterr().err
    assert main([*command, "--output", str(tmp_path / "c"), "--steps", "0"]) == 1
    assert "at least 1" in capsys.readouterr().err
