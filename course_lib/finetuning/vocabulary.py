"""Training only those rows of the word table whose words occur.

Half of a small BERT's parameters are its word table, and a data set uses a part of the vocabulary. A row that is never
looked up has no gradient, so AdamW's two averages of it stay 0 and it stays where it is. But a dense table costs a
gradient as large as itself at every step, which is filled with zeros, measured, and handed to the optimiser.

Here the rows that occur are a parameter of their own, and the rest is left alone. The weights of a run are those of the
dense table, with one exception: weight decay would also pull at the unused rows, by learning rate times decay a step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WORTH_IT = 0.7  # share of the vocabulary from which nothing is won


class OccurringRows(nn.Module):
    """A word table of which some rows learn: ids (...) -> (..., H). Its state dict is that of the whole table.

    Args:
        table: the whole one, (V, H); `merge` puts the rows that learned back into it.
        ids: the rows that learn.
    """

    def __init__(self, table: nn.Embedding, ids: Tensor) -> None:
        super().__init__()
        self._table = [table]  # in a list, so that it is no part of this module
        self._ids = ids
        self.padding_idx = table.padding_idx
        self.rows = nn.Parameter(table.weight.detach()[ids].clone())
        place = torch.full((table.num_embeddings,), -1, device=table.weight.device)
        place[ids] = torch.arange(len(ids), device=place.device)
        self.register_buffer("_place", place, persistent=False)
        self._register_state_dict_hook(_whole_table)
        self._register_load_state_dict_pre_hook(self._take_rows)

    @property
    def weight(self) -> Tensor:
        """The whole table as it is now, (V, H)."""
        return self.merge()

    def merge(self) -> nn.Parameter:
        """The whole table, with the rows as they are now."""
        weight = self._table[0].weight
        with torch.no_grad():
            weight[self._ids] = self.rows.detach().to(weight.device)
        return weight

    def forward(self, ids: Tensor) -> Tensor:
        """(...) -> (..., H). An id that does not learn gives its row of the table as it is."""
        place = self._place[ids]
        found = F.embedding(place.clamp(min=0), self.rows)
        others = place < 0
        if bool(others.any()):
            found = torch.where(
                others[..., None], F.embedding(ids, self._table[0].weight.detach().to(ids.device)), found
            )
        return found

    def _take_rows(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        whole = state.pop(prefix + "weight", None)
        if whole is not None:
            with torch.no_grad():
                self._table[0].weight.copy_(whole)
            state[prefix + "rows"] = whole[self._ids.to(whole.device)]


def _whole_table(module: OccurringRows, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    state.pop(prefix + "rows")
    state[prefix + "weight"] = module.merge().detach()


@contextlib.contextmanager
def rows_that_occur(model: nn.Module, columns: Iterable[Mapping[str, Any]]) -> Iterator[OccurringRows | None]:
    """Within it, only the rows of the word table learn whose ids are in the columns' input_ids.

    Nothing is changed where most words occur, where the table is also a decoder, where it is frozen, or where there is
    no table that `input_ids` go to. Afterwards the model has its table as before, with what was learned.
    """
    place = _word_table(model)
    if place is None:
        yield None
        return
    owner, name, table = place
    used = torch.zeros(table.num_embeddings, dtype=torch.bool)
    for column in columns:
        _mark(used, column["input_ids"])
    if table.padding_idx is not None:
        used[table.padding_idx] = False  # its gradient is 0 by definition
    if used.double().mean() > _WORTH_IT:
        yield None
        return
    rows = OccurringRows(table, used.nonzero().flatten().to(table.weight.device))
    setattr(owner, name, rows)
    try:
        yield rows
    finally:
        rows.merge()
        setattr(owner, name, table)
        rows._table.clear()  # its hooks hold this module in a circle; the table must not wait for the garbage collector


def _word_table(model: nn.Module) -> tuple[nn.Module, str, nn.Embedding] | None:
    found = [(path, part) for path, part in model.named_modules() if path.endswith("word_embeddings")]
    if len(found) != 1 or type(found[0][1]) is not nn.Embedding:
        return None
    path, table = found[0]
    shared = sum(p is table.weight for part in model.modules() for p in part._parameters.values())
    if shared > 1 or not table.weight.requires_grad:
        return None
    owner, _, name = path.rpartition(".")
    return model.get_submodule(owner), name, table


def _mark(used: Tensor, rows: Any) -> None:
    for row in rows:
        if len(row) and isinstance(row[0], list):
            _mark(used, row)
        else:
            used[torch.as_tensor(row)] = True
