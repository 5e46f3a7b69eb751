"""What transformers no longer has is named only where the course teaches about it."""

import inspect
import re
from pathlib import Path

import pytest
import transformers

from course_lib.notebooks import ROOT

# name -> (where it was, the places that teach about it). "docs" are the index of statements and the lists for looking up.
DOCS = ("docs/error_messages.md", "docs/glossary.md", "docs/reading.md", "docs/sources.md", "docs/teaching.md")
MODULE = {
    "AutoModelWithLMHead": (),
    "BertAdam": (),
    "WarmupLinearSchedule": (),
    "cached_path": (),
    "TFBertModel": (),
    "FlaxBertModel": (),
    "load_metric": (),
    "get_linear_scheduler_with_warmup": ("notebooks/src/07_fine_tuning.py", "course_lib/quizzes/07_fine_tuning.md"),
    "glue_convert_examples_to_features": (),
    "squad_convert_examples_to_features": (),
    "LineByLineTextDataset": (),
    "TextDatasetForNextSentencePrediction": (),
    "DataCollatorForWholeWordMask": (),
    "convert_graph_to_onnx": (),
    "ConversationalPipeline": (),
    "TFTrainer": (),
}
TOKENIZER = {
    "encode_plus": ("notebooks/src/01_bert_outputs.py", "course_lib/quizzes/01_bert_outputs.md"),
    "batch_encode_plus": (),
    "prepare_for_model": (),
    "build_inputs_with_special_tokens": (),
    "create_token_type_ids_from_sequences": (),
    "prepare_seq2seq_batch": (),
    "as_target_tokenizer": (),
    "pad_to_max_length": (),
}
MODEL = {
    "prune_heads": (),
    "get_head_mask": (),
    "head_mask": ("notebooks/src/02_heads.py", "course_lib/quizzes/02_heads.md"),
}
TRAINING = {
    "evaluation_strategy": (),
    "no_cuda": (),
    "per_gpu_train_batch_size": (),
    "fp16_backend": (),
    "use_auth_token": (),
    "tpu_num_cores": (),
    "group_by_length": ("benchmarks/public_data.py", "benchmarks/trainer.py"),  # where it says what it is called today
    "warmup_ratio": (),
    "overwrite_output_dir": (),
    "logging_dir": (),
}
REMOVED = {**MODULE, **TOKENIZER, **MODEL, **TRAINING}
FILES = [
    *(
        path
        for name in ("notebooks/src", "course_lib", "docs", "data", "benchmarks")
        for path in (ROOT / name).rglob("*.py")
    ),
    *(path for name in ("course_lib", "docs", "data") for path in (ROOT / name).rglob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]


def places(name: str, files: list[Path]) -> set[str]:
    """The files in which a name stands as a word of its own."""
    word = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)|(?<=\.){re.escape(name)}(?!\w)")
    return {p.relative_to(ROOT).as_posix() for p in files if word.search(p.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", REMOVED)
def test_what_is_gone_is_named_only_where_it_is_taught(name):
    assert places(name, FILES) - {*REMOVED[name], *DOCS} == set()


def test_the_optimiser_is_torchs_own():
    """transformers.AdamW is gone; torch.optim.AdamW is meant wherever the course says AdamW."""
    pattern = re.compile(r"from transformers import [^\n]*\bAdamW\b|transformers\.AdamW")
    found = {p.relative_to(ROOT).as_posix() for p in FILES if pattern.search(p.read_text(encoding="utf-8"))}
    assert found <= {*DOCS, "notebooks/src/07_fine_tuning.py"}


def test_they_are_gone_indeed():
    """Else this list would forbid something that a reader can use."""
    assert [name for name in MODULE if hasattr(transformers, name)] == []
    tokenizer = transformers.BertTokenizer
    assert [name for name in TOKENIZER if hasattr(tokenizer, name)] == []
    model = transformers.BertModel
    assert [name for name in MODEL if hasattr(model, name) or name in inspect.signature(model.forward).parameters] == []
    arguments = inspect.signature(transformers.TrainingArguments).parameters
    assert [name for name in TRAINING if name in arguments] == []


def test_the_search_finds_a_name_as_a_word_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    files = []
    for number, text in enumerate(
        ("tokenizer.encode_plus(x)", "batch_encode_plus", "`encode_plus`", "my_encode_plus2")
    ):
        files.append(tmp_path / f"{number}.md")
        files[-1].write_text(text, encoding="utf-8")
    assert places("encode_plus", files) == {"0.md", "2.md"}
