import logging
import sys
import warnings

import pytest

from course_lib.remarks import remarks


def test_warnings_and_log_lines_are_collected_in_order_and_nothing_reaches_stderr(capfd: pytest.CaptureFixture) -> None:
    logger = logging.getLogger("transformers.models.bert")
    with remarks() as said:
        logger.warning("no %s", "attentions")
        warnings.warn("old", FutureWarning, stacklevel=1)
        warnings.warn("old", FutureWarning, stacklevel=1)  # said twice: a lesson shows every one
    assert said == ["[transformers] no attentions", "[FutureWarning] old", "[FutureWarning] old"]
    assert capfd.readouterr().err == ""


def test_loggers_and_filters_are_as_before_also_after_an_error() -> None:
    logger = logging.getLogger("a.library")
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    filters, show = list(warnings.filters), warnings.showwarning
    with pytest.raises(ValueError, match="mine"), remarks("a.library") as said:
        logger.error("first")
        raise ValueError("mine")
    assert said == ["[a] first"]
    assert logger.handlers == [handler] and logger.propagate
    assert list(warnings.filters) == filters and warnings.showwarning is show


def test_the_hint_of_sdpa_without_attentions_is_collected() -> None:
    import torch
    import transformers.utils.logging as library
    from transformers import BertConfig, BertModel

    tiny = BertConfig(vocab_size=11, hidden_size=6, num_hidden_layers=1, num_attention_heads=2, intermediate_size=5)
    model = BertModel(tiny).eval()
    library.warning_once.cache_clear()  # another test may have made it speak already
    with remarks() as said, torch.no_grad():
        model(torch.tensor([[1, 2, 3]]), output_attentions=True)
    assert any("eager" in line for line in said)
