"""Probes: a small layer trained on vectors that a frozen encoder gave once. What is in them, which layer has it?

The encoder reads each text a single time (`layer_vectors`); after that, training a probe takes a second.

Letters: n texts, B batch, T tokens, H hidden size, L layers, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_lib import pooling
from course_lib.encode import batches_by_length
from course_lib.heads import HeadOutput, check_labels, cross_entropy


def layer_vectors(
    texts: Sequence[str],
    model: Any,
    tokenizer: Any,
    batch_tokens: int = 4096,
    pad_to: int | None = None,
) -> dict[str, Tensor]:
    """One vector a text from every hidden state, pooled in several ways; the order of the texts is kept.

    Args:
        model, tokenizer: an encoder of ours or of transformers, and its tokenizer.
        batch_tokens: how many tokens, padding included, a batch may hold.
        pad_to: pad every text to this many tokens, as loaders with a fixed length do, and give "padded mean" too; a
            longer text is cut. By default texts are padded to the longest of their batch, and cut at 512.

    Returns:
        "cls", "mean" and "max", which leave the padding out, and with `pad_to` "padded mean", which counts it: each
        (n, L + 1, H), the embeddings first. "pooler", (n, H), where the model has a pooler. All on the CPU.

    Raises:
        ValueError: no texts.
        TypeError: one text instead of a list of texts.
    """
    if isinstance(texts, str):
        raise TypeError("texts is one text; give a list of texts, for example [text].")
    if not len(texts):
        raise ValueError("texts is empty; give at least one text.")
    longest = 512 if pad_to is None else pad_to
    cut = {"truncation": True, "max_length": longest}
    lengths = [longest if pad_to else len(ids) for ids in tokenizer(list(texts), **cut)["input_ids"]]
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    found: dict[str, Tensor] = {}
    try:
        with torch.no_grad():
            for chosen in batches_by_length(lengths, batch_tokens):
                batch = tokenizer(
                    [texts[i] for i in chosen], padding="max_length" if pad_to else True, return_tensors="pt", **cut
                ).to(device)
                for name, vectors in _pool(model, batch, padded=pad_to is not None).items():
                    if name not in found:
                        found[name] = torch.empty(len(texts), *vectors.shape[1:])
                    found[name][chosen] = vectors.float().cpu()
    finally:
        model.train(was_training)
    return found


def _pool(model: Any, batch: Any, padded: bool) -> dict[str, Tensor]:
    """The vectors of one batch: name -> (B, L + 1, H), and the pooler's (B, H)."""
    out, mask = model(**batch, output_hidden_states=True), batch["attention_mask"]
    ways = {
        "cls": pooling.cls,
        "mean": lambda hidden: pooling.masked_mean(hidden, mask),
        "max": lambda hidden: pooling.masked_max(hidden, mask),
    }
    if padded:
        ways["padded mean"] = lambda hidden: hidden.mean(dim=1)
    vectors = {name: torch.stack([way(hidden) for hidden in out.hidden_states], dim=1) for name, way in ways.items()}
    return vectors if out.pooler_output is None else {**vectors, "pooler": out.pooler_output}


def standardise(train: Tensor, *others: Tensor) -> list[Tensor]:
    """Each number of the vectors shifted and scaled to mean 0 and standard deviation 1 over the training texts.

    The others are changed by the training texts' mean and deviation: what is told about them must not come from them.
    Without this, a probe may learn nothing from vectors whose common part is far larger than their differences, and seem
    to say that nothing is in them. A number that is the same for all training texts becomes 0.

    Args:
        train, others: (n, ...) each, for example the vectors of train, dev and test.
    """
    mean, deviation = train.mean(dim=0), train.std(dim=0)
    constant = deviation <= 1e-6 * train.abs().amax(dim=0)  # rounding makes equal numbers differ a little
    scale = torch.where(constant, torch.zeros_like(deviation), 1 / deviation)
    return [(part - mean) * scale for part in (train, *others)]


class Probe(nn.Module):
    """One linear layer on ready vectors: (B, H) -> (B, K).

    Args:
        size: H, the length of a vector.
        classes: K.
        layers: above 0, the vectors are (B, layers, H) and a learned mix of the layers comes first
            (`pooling.LayerMix`). The mean and [CLS] may be mixed after pooling as well as before; the maximum may not.
        samples: above 0, the linear layer is trained with that many dropouts at once (`pooling.MultiSampleDropout`).
        dropout: the share of numbers that each of these sets to 0.
    """

    def __init__(self, size: int, classes: int, layers: int = 0, samples: int = 0, dropout: float = 0.5) -> None:
        super().__init__()
        self.mix = pooling.LayerMix(layers) if layers else None
        linear = nn.Linear(size, classes)
        self.classifier = pooling.MultiSampleDropout(linear, samples, dropout) if samples else linear

    def forward(self, features: Tensor, labels: Tensor | None = None) -> HeadOutput:
        """features (B, H), or (B, layers, H) with a mix; labels (B,), the class numbers."""
        wanted = "(B, H); choose a layer, for example [:, -1]" if self.mix is None else "(B, layers, H)"
        if features.dim() != (2 if self.mix is None else 3):
            raise ValueError(f"features has shape {tuple(features.shape)}; this probe takes {wanted}.")
        if self.mix is not None:
            features = self.mix(features.unbind(dim=1))
        logits = self.classifier(features)
        loss = None
        if labels is not None:
            check_labels("labels", labels, (len(logits),), logits.shape[-1])
            loss = cross_entropy(logits, labels)
        return HeadOutput(loss, logits)
