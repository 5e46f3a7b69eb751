"""What all models of the zoo share: tokens to vectors, vectors to features, features to K scores.

    source     ids (B, T)   -> word vectors (B, T, E), or what a BERT says of the tokens
    features   x, mask      -> one vector a text (B, F): here the models differ
    classify   dropout and a linear layer -> (B, K)

Three things hold for each of them: padding changes nothing, wherever it stands; a text's answer does not depend on the
rest of its batch; a text of any length from one token on has an answer.

Letters: B batch, T tokens, E width of a vector, F features, K classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.dropout import Dropout
from course_lib.heads import HeadOutput, check_labels, cross_entropy
from course_lib.inputs import has_numbers, recording
from course_lib.pooling import MultiSampleDropout


class TextClassifier(nn.Module):
    """ids (B, T), mask (B, T) -> scores (B, K).

    Args:
        source, features: see above; features has a `size`, F.
        num_classes: K.
        dropout: before the last layer.
        samples: with 2 or more, multi-sample dropout: so many dropouts of the same features, and the mean of the answers.
        card: what `build` made it from, so that it can be saved and made again.
    """

    def __init__(
        self,
        source: nn.Module,
        features: nn.Module,
        num_classes: int,
        dropout: float = 0.5,
        samples: int = 1,
        card: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.source, self.features = source, features
        last = nn.Linear(features.size, num_classes)
        self.classify = (
            MultiSampleDropout(last, samples, dropout) if samples > 1 else nn.Sequential(Dropout(dropout), last)
        )
        self.num_classes, self.card = num_classes, card or {}

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> HeadOutput:
        """Scores, and with labels (B,) their cross entropy.

        Raises:
            ValueError: a mask or labels of another shape, or a label that is no class.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        _check(input_ids, attention_mask, labels, self.num_classes)
        mask = (attention_mask != 0).long()
        ids, types, mask = to_the_left(input_ids, token_type_ids, mask)
        logits = self.classify(self.features(self.source(ids, mask, types), mask))  # (B, K)
        loss = None if labels is None else cross_entropy(logits.float(), labels)
        return HeadOutput(loss, logits)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write zoo.json and model.safetensors; `course_lib.zoo.load` reads them.

        The tokenizer is saved by `tokenizer.save_pretrained(folder)`.
        """
        from course_lib.zoo.saving import save

        return save(self, folder)


def to_the_left(ids: Tensor, types: Tensor | None, mask: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    """The real tokens at the beginning of each row, in their order, and padding after them: (B, T) each.

    So the models need to know padding on the right alone.
    """
    if not recording() and has_numbers(mask) and not bool((mask[:, 1:] > mask[:, :-1]).any()):
        return ids, types, mask  # it is so already, as nearly always
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)
    moved = [None if x is None else torch.zeros_like(x).scatter_add(1, places, x * mask) for x in (ids, types)]
    lengths = mask.sum(dim=1, keepdim=True)
    return moved[0], moved[1], (torch.arange(mask.shape[1], device=mask.device) < lengths).long()  # type: ignore[return-value]


def _check(ids: Tensor, mask: Tensor, labels: Tensor | None, classes: int) -> None:
    if recording():
        return
    if ids.dim() != 2 or ids.shape[1] == 0:
        raise ValueError(f"input_ids has shape {tuple(ids.shape)}; (B, T) is needed, with at least one token.")
    if mask.shape != ids.shape:
        raise ValueError(
            f"attention_mask has shape {tuple(mask.shape)} and input_ids {tuple(ids.shape)}; give both (B, T)."
        )
    if labels is not None:
        check_labels("labels", labels, (len(ids),), classes)
