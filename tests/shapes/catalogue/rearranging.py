"""view, reshape, permute, cat, stack, indexing."""

import torch
from catalogue.bug import bug
from torch import nn


@bug("view", None, "x.view(-1, 442)", [(3, 13, 62, 1)], "multiple of 442", "x.flatten(1)")
class view_with_a_wrong_number:
    """The features were counted wrongly."""

    def broken():
        x = torch.randn(3, 13, 62, 1)
        return x.view(-1, 442)

    def mended():
        return torch.randn(3, 13, 62, 1, requires_grad=True).flatten(1)


@bug("view", "head", "x.view(x.size(0), 11, 5)", [(3, 11, 7)], "3 x 11 x 7 = 231", "x.view(x.size(0), 11, -1)")
class heads_of_the_wrong_width:
    """view to sizes that do not multiply to the whole."""

    def broken():
        class Head(nn.Module):
            def forward(self, x):
                return x.view(x.size(0), 11, 5)

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = Head()

            def forward(self, x):
                return self.head(x)

        return Model()(torch.randn(3, 11, 7))

    def mended():
        x = torch.randn(3, 11, 7, requires_grad=True)
        return x.view(x.size(0), 11, -1)


@bug(
    "view",
    None,
    "x.transpose(1, 2).view(3, -1)",
    [(3, 7, 11)],
    "lie in order in memory",
    "x.transpose(1, 2).reshape(3, -1)",
)
class view_after_transpose:
    """view on a transposed tensor."""

    def broken():
        x = torch.randn(3, 11, 7)
        return x.transpose(1, 2).view(3, -1)

    def mended():
        x = torch.randn(3, 11, 7, requires_grad=True)
        return x.transpose(1, 2).reshape(3, -1)


@bug("reshape", None, "torch.reshape(hidden, (3, 4, 6))", [(3, 4, 7)], "= 84 numbers", "(3, 4, -1)")
class reshape_to_other_sizes:
    """torch.reshape with a tuple."""

    def broken():
        hidden = torch.randn(3, 4, 7)
        return torch.reshape(hidden, (3, 4, 6))

    def mended():
        return torch.reshape(torch.randn(3, 4, 7, requires_grad=True), (3, 4, -1))


@bug("permute", None, "image.permute(2, 0, 1)", [(3, 17, 19, 5)], "names 3", "image.permute(0, 3, 1, 2)")
class permute_without_the_batch:
    """The order of one image, used on a batch."""

    def broken():
        image = torch.randn(3, 17, 19, 5)
        return image.permute(2, 0, 1)

    def mended():
        return torch.randn(3, 17, 19, 5, requires_grad=True).permute(0, 3, 1, 2)


@bug("softmax", None, "logits.softmax(dim=1)", [(5,)], "dimension 1", "logits.softmax(dim=-1)")
class softmax_over_a_lost_dimension:
    """squeeze removed the batch of one."""

    def broken():
        logits = torch.randn(1, 5).squeeze()
        return logits.softmax(dim=1)

    def mended():
        logits = torch.randn(1, 5, requires_grad=True)
        return logits.softmax(dim=1)


@bug("transpose", None, "x.transpose(1, 3)", [(3, 11, 7)], "numbered 0 to 2", None)
class transpose_of_a_missing_dimension:
    """Three dimensions are numbered 0 to 2."""

    def broken():
        x = torch.randn(3, 11, 7)
        return x.transpose(1, 3)

    def mended():
        return torch.randn(3, 11, 7, requires_grad=True).transpose(1, 2)


@bug("expand", None, "cls.expand(3, -1, -1)", [(2, 1, 7)], "only dimensions of 1", None)
class expand_of_a_larger_dimension:
    """expand repeats dimensions of 1 alone."""

    def broken():
        cls = torch.randn(2, 1, 7)
        return cls.expand(3, -1, -1)

    def mended():
        return torch.randn(1, 1, 7, requires_grad=True).expand(3, -1, -1)


@bug("cat", None, "torch.cat([a, b])", [(3, 5), (3, 7)], "all other sizes equal", "torch.cat([a, b], dim=1)")
class cat_along_the_batch:
    """Features should stand side by side; cat joins dimension 0 by itself."""

    def broken():
        a, b = torch.randn(3, 5), torch.randn(3, 7)
        return torch.cat([a, b])

    def mended():
        a, b = torch.randn(3, 5, requires_grad=True), torch.randn(3, 7)
        return torch.cat([a, b], dim=1)


@bug(
    "cat",
    "1",
    "torch.cat([pooled, extra], dim=-1)",
    [(3, 11, 7), (3, 5)],
    "same number of dimensions",
    "unsqueeze(1).expand(-1, 11, -1)",
)
class a_vector_beside_a_sequence:
    """One vector a text, joined to one vector a token."""

    def broken():
        class Join(nn.Module):
            def forward(self, pair):
                pooled, extra = pair
                return torch.cat([pooled, extra], dim=-1)

        class First(nn.Module):
            def forward(self, pair):
                return pair

        return nn.Sequential(First(), Join())((torch.randn(3, 11, 7), torch.randn(3, 5)))

    def mended():
        sequence, extra = torch.randn(3, 11, 7, requires_grad=True), torch.randn(3, 5)
        return torch.cat([sequence, extra.unsqueeze(1).expand(-1, 11, -1)], dim=-1)


@bug("stack", None, "torch.stack(rows)", [(5,), (7,)], "one shape", "nn.utils.rnn.pad_sequence(rows, batch_first=True)")
class texts_of_different_lengths:
    """Texts of different lengths in one batch."""

    def broken():
        rows = [torch.arange(5), torch.arange(7)]
        return torch.stack(rows)

    def mended():
        rows = [torch.arange(5), torch.arange(7)]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)


@bug("cat", None, "torch.cat(a, b)", [(3, 5)], "one list of tensors", "torch.cat([a, b])")
class cat_without_a_list:
    """The tensors must stand in a list."""

    def broken():
        a, b = torch.randn(3, 5), torch.randn(3, 5)
        return torch.cat(a, b)

    def mended():
        a, b = torch.randn(3, 5, requires_grad=True), torch.randn(3, 5)
        return torch.cat([a, b])


@bug("stack", None, "torch.stack(losses)", [], "plain numbers", "torch.tensor(losses)")
class stacking_numbers:
    """.item() made plain numbers of the losses."""

    def broken():
        losses = [0.5, 0.25]
        return torch.stack(losses)

    def mended():
        return torch.tensor([0.5, 0.25])


@bug("getitem", None, "hidden[:, 0, :]", [(3, 7)], "indexes 3 dimensions", "hidden[:, 0]")
class cls_of_a_pooled_output:
    """pooler_output is one vector a text already."""

    def broken():
        hidden = torch.randn(3, 7)
        return hidden[:, 0, :]

    def mended():
        return torch.randn(3, 11, 7, requires_grad=True)[:, 0, :]


@bug("getitem", None, "x[:, 11]", [(3, 11, 7)], "11 places, 0 to 10", "x[:, -1]")
class one_place_too_far:
    """The last of 11 places is number 10."""

    def broken():
        x = torch.randn(3, 11, 7)
        return x[:, 11]

    def mended():
        return torch.randn(3, 11, 7, requires_grad=True)[:, -1]


@bug("getitem", None, "hidden[mask]", [(3, 11, 7), (11, 3)], "A mask must have the sizes", "hidden[mask.T]")
class a_mask_the_other_way_round:
    """A boolean mask (tokens, batch) on (batch, tokens, hidden)."""

    def broken():
        hidden, mask = torch.randn(3, 11, 7), torch.ones(11, 3, dtype=torch.bool)
        return hidden[mask]

    def mended():
        hidden, mask = torch.randn(3, 11, 7, requires_grad=True), torch.ones(11, 3, dtype=torch.bool)
        return hidden[mask.T]


@bug("gather", None, "x.gather(1, best)", [(3, 11), (3,)], "as many dimensions", "x.gather(1, best.unsqueeze(1))")
class gather_without_a_dimension:
    """gather's index needs the input's number of dimensions."""

    def broken():
        x = torch.randn(3, 11)
        best = x.argmax(1)
        return x.gather(1, best)

    def mended():
        x = torch.randn(3, 11, requires_grad=True)
        return x.gather(1, x.argmax(1).unsqueeze(1))


@bug("split", None, "qkv.split([7, 7, 7], dim=-1)", [(3, 11, 22)], "7 + 7 + 7 = 21", "qkv.split([7, 7, 8], dim=2)")
class parts_that_do_not_add_up:
    """Queries, keys and values cut from one projection."""

    def broken():
        qkv = torch.randn(3, 11, 22)
        q, k, v = qkv.split([7, 7, 7], dim=-1)
        return q + k + v[..., :7]

    def mended():
        q, k, v = torch.randn(3, 11, 21, requires_grad=True).split([7, 7, 7], dim=-1)
        return q + k + v[..., :7]


@bug("unpack", None, "batch, tokens, hidden = x.shape", [(3, 7)], "holds 2 sizes", None)
class sizes_unpacked:
    """A shape with fewer sizes than names."""

    def broken():
        x = torch.randn(3, 7)
        batch, tokens, hidden = x.shape
        return batch, tokens, hidden

    def mended():
        batch, tokens, hidden = torch.randn(3, 11, 7).shape
        return batch, tokens, hidden


@bug("setitem", None, "batch[0] = row", [(7,), (5,)], "cannot be spread", None)
class writing_a_shorter_row:
    """A row that is shorter than the place it is written to."""

    def broken():
        batch, row = torch.zeros(3, 7), torch.ones(5)
        batch[0] = row
        return batch

    def mended():
        batch, row = torch.zeros(3, 7), torch.ones(5)
        batch[0, : len(row)] = row
        return batch


@bug("tensor", None, "torch.tensor(ids)", [], "rows of one length", "nn.utils.rnn.pad_sequence")
class ragged_rows:
    """Token ids of different lengths, padding forgotten."""

    def broken():
        ids = [[1, 2, 3], [1, 2]]
        return torch.tensor(ids)

    def mended():
        ids = [[1, 2, 3], [1, 2]]
        return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ids], batch_first=True)


@bug("bool", None, "predicted == labels", [(5,)], "one True or False", ".all()")
class a_condition_on_a_tensor:
    """if on a comparison of tensors."""

    def broken():
        predicted, labels = torch.arange(5), torch.arange(5)
        return "right" if predicted == labels else "wrong"

    def mended():
        predicted, labels = torch.arange(5), torch.arange(5)
        return bool((predicted == labels).all())


@bug("item", None, "losses.item()", [(5,)], "exactly one number", "losses.mean().item()")
class item_of_many:
    """A loss with reduction='none'."""

    def broken():
        losses = torch.rand(5)
        return losses.item()

    def mended():
        return torch.rand(5).mean().item()
