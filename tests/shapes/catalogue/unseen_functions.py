"""Bugs written before the rules that explain them: losses, products, indices and arrangements."""

import torch
import torch.nn.functional as F
from catalogue.bug import bug
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


@bug(
    "GroupNorm",
    None,
    "nn.GroupNorm(8, 12)",
    [],
    ["12 into 8 groups"],
    "nn.GroupNorm(6, 12)",
)
class groupnorm_constructor:
    """GroupNorm whose groups do not divide the channels, in the constructor."""

    def broken():
        return nn.Sequential(nn.Conv2d(3, 12, 3), nn.GroupNorm(8, 12))

    def mended():
        return nn.Sequential(nn.Conv2d(3, 12, 3), nn.GroupNorm(4, 12))


@bug(
    "view",
    None,
    "x.view(-1, 16 * 5 * 5)",
    [(4, 16, 6, 6)],
    ["leaves a rest of 304"],
    "x.flatten(1)",
)
class lenet_on_other_images:
    """LeNet for 32 x 32 pictures fed 36 x 36: view does not divide."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.c1 = nn.Conv2d(3, 6, 5)
            self.c2 = nn.Conv2d(6, 16, 5)
            self.fc1 = nn.Linear(16 * 5 * 5, 120)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.c1(x)), 2)
            x = F.max_pool2d(F.relu(self.c2(x)), 2)
            x = x.view(-1, 16 * 5 * 5)
            return self.fc1(x)

    def broken():
        return lenet_on_other_images.Net()(torch.randn(4, 3, 36, 36))

    def mended():
        return lenet_on_other_images.Net()(torch.randn(4, 3, 32, 32))


@bug(
    "cross_entropy",
    None,
    "F.cross_entropy(logits, y)",
    [(8, 3), (4,)],
    ["It happened in view", "one input there is 576 numbers"],
    None,
)
class view_swallows_batch:
    """view(-1, n) with a wrong n doubles the batch; the loss complains much later."""

    def broken():
        conv = nn.Conv2d(3, 16, 3)
        fc = nn.Linear(288, 3)
        x = torch.randn(4, 3, 8, 8)
        y = torch.randint(0, 3, (4,))
        x = F.relu(conv(x))
        x = x.view(-1, 288)
        logits = fc(x)
        return F.cross_entropy(logits, y)

    def mended():
        conv = nn.Conv2d(3, 16, 3)
        fc = nn.Linear(576, 3)
        return F.cross_entropy(fc(conv(torch.randn(4, 3, 8, 8)).flatten(1)), torch.randint(0, 3, (4,)))


@bug(
    "binary_cross_entropy",
    None,
    "F.binary_cross_entropy(recon_x, x)",
    [(4, 784), (4, 1, 28, 28)],
    ["(4, 784)", "(4, 1, 28, 28)"],
    "x.flatten(1)",
)
class vae_reconstruction:
    """A VAE compares flat reconstructions with pictures."""

    def broken():
        enc, dec = nn.Linear(784, 5), nn.Linear(5, 784)

        def loss_function(recon_x, x):
            BCE = F.binary_cross_entropy(recon_x, x)
            return BCE

        x = torch.rand(4, 1, 28, 28)
        return loss_function(torch.sigmoid(dec(enc(x.view(-1, 784)))), x)

    def mended():
        x = torch.rand(4, 784)
        return F.binary_cross_entropy(torch.sigmoid(nn.Linear(784, 784)(x)), x)


@bug(
    "mul",
    None,
    "eps * std",
    [(4, 7), (4, 5)],
    ["7 = out_features", "5 = out_features"],
    "self.fc_logvar = nn.Linear(16, 7)",
)
class vae_noise_of_other_size:
    """VAE reparametrization: mean and log-variance heads disagree, noise drawn like mu."""

    class VAE(nn.Module):
        def __init__(self, a, b):
            super().__init__()
            self.fc = nn.Linear(9, 16)
            self.fc_mu = nn.Linear(16, a)
            self.fc_logvar = nn.Linear(16, b)

        def forward(self, x):
            h = self.fc(x).relu()
            mu, logvar = self.fc_mu(h), self.fc_logvar(h)
            std = torch.exp(0.5 * logvar)
            eps = torch.randn_like(mu)
            z = mu + eps * std
            return z

    def broken():
        return vae_noise_of_other_size.VAE(7, 5)(torch.randn(4, 9))

    def mended():
        return vae_noise_of_other_size.VAE(7, 7)(torch.randn(4, 9))


@bug(
    "mul",
    None,
    "out * mask.unsqueeze(-1)",
    [(3, 5, 5), (3, 6, 1)],
    ["out has 5 in dimension 1"],
    "total_length=6",
)
class pad_packed_shorter:
    """pad_packed_sequence gives the longest text of the batch, the mask is longer."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(7, 5, batch_first=True)

        def forward(self, x, mask):
            lengths = mask.sum(1)
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            out, _ = self.gru(packed)
            out, _ = pad_packed_sequence(out, batch_first=True)
            return (out * mask.unsqueeze(-1)).sum(1)

    def broken():
        mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0], [1, 0, 0, 0, 0, 0]])
        return pad_packed_shorter.Net()(torch.randn(3, 6, 7), mask)

    def mended():
        return pad_packed_shorter.Net()(torch.randn(3, 6, 7), torch.ones(3, 6, dtype=torch.long))


@bug(
    "bmm",
    "attn",
    "torch.bmm(weights, encoder_outputs)",
    [(5, 1, 6), (6, 5, 13)],
    ["its first two are swapped"],
    "encoder_outputs.transpose(0, 1)",
)
class bmm_time_first:
    """Attention over encoder outputs that are time-first."""

    class Attn(nn.Module):
        def __init__(self):
            super().__init__()
            self.score = nn.Linear(13, 1)

        def forward(self, encoder_outputs):
            weights = F.softmax(self.score(encoder_outputs).permute(1, 2, 0), dim=-1)
            return torch.bmm(weights, encoder_outputs)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(7, 13)
            self.attn = bmm_time_first.Attn()

        def forward(self, x):
            out, _ = self.gru(x)
            return self.attn(out)

    def broken():
        return bmm_time_first.Net()(torch.randn(6, 5, 7))

    def mended():
        n = bmm_time_first.Net()
        o = n.gru(torch.randn(6, 5, 7))[0]
        return torch.bmm(n.attn.score(o).permute(1, 2, 0), o.transpose(0, 1))


@bug(
    "masked_fill",
    None,
    "att.masked_fill(self.bias[:, :, :T, :T] == 0, -1e9)",
    [(2, 4, 11, 11), (1, 1, 8, 8)],
    ["self.bias (1, 1, 8, 8) is too small", "asks for 11"],
    None,
)
class causal_mask_too_small:
    """GPT: the registered causal mask is smaller than the text."""

    class Attn(nn.Module):
        def __init__(self, block):
            super().__init__()
            self.register_buffer("bias", torch.tril(torch.ones(block, block)).view(1, 1, block, block))

        def forward(self, q, k):
            T = q.size(2)
            att = q @ k.transpose(-2, -1)
            att = att.masked_fill(self.bias[:, :, :T, :T] == 0, -1e9)
            return att.softmax(-1)

    def broken():
        return causal_mask_too_small.Attn(8)(torch.randn(2, 4, 11, 6), torch.randn(2, 4, 11, 6))

    def mended():
        return causal_mask_too_small.Attn(11)(torch.randn(2, 4, 11, 6), torch.randn(2, 4, 11, 6))


@bug(
    "MultiheadAttention",
    None,
    "nn.MultiheadAttention(embed_dim=100, num_heads=8, batch_first=True)",
    [],
    ["100 / 8 = 12.5"],
    "num_heads=10",
)
class heads_do_not_divide:
    """GloVe's 100 dimensions and 8 heads."""

    def broken():
        return nn.MultiheadAttention(embed_dim=100, num_heads=8, batch_first=True)

    def mended():
        return nn.MultiheadAttention(embed_dim=100, num_heads=10, batch_first=True)


@bug(
    "einsum",
    None,
    'torch.einsum("bqd,bkd->bqk", q, k)',
    [(2, 4, 7, 6)],
    ["3 letters, but it has 4 dimensions"],
    "bnqd,bnkd->bnqk",
)
class einsum_missing_heads:
    """einsum forgets the dimension of heads."""

    def broken():
        q, k = torch.randn(2, 4, 7, 6), torch.randn(2, 4, 7, 6)
        scores = torch.einsum("bqd,bkd->bqk", q, k)
        return scores

    def mended():
        q, k = torch.randn(2, 4, 7, 6), torch.randn(2, 4, 7, 6)
        return torch.einsum("bnqd,bnkd->bnqk", q, k)


@bug(
    "cross_entropy",
    None,
    "loss_fn(logits.view(-1, logits.size(-1)), trg[:, 1:].reshape(-1))",
    [(12, 30), (10,)],
    ["has 6 places a text"],
    "logits[:, :-1].reshape(-1, logits.size(-1))",
)
class shifted_targets:
    """Targets shifted by one, logits not."""

    def broken():
        loss_fn = nn.CrossEntropyLoss()
        trg = torch.randint(0, 30, (2, 6))
        logits = nn.Linear(13, 30)(nn.Embedding(30, 13)(trg))
        return loss_fn(logits.view(-1, logits.size(-1)), trg[:, 1:].reshape(-1))

    def mended():
        return F.cross_entropy(torch.randn(2, 5, 30).flatten(0, 1), torch.randint(0, 30, (2, 5)).flatten())


@bug(
    "cross_entropy",
    "loss",
    "self.loss(heads[task](features), labels[task])",
    [(4, 3), (4,)],
    ["labels[task] holds 5"],
    "heads['mood'] = nn.Linear(8, 6)",
)
class multi_task_label_range:
    """Multi-task: one head has too few classes."""

    class Net(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.trunk = nn.Linear(7, 8)
            self.heads = nn.ModuleDict({"topic": nn.Linear(8, 4), "mood": nn.Linear(8, n)})
            self.loss = nn.CrossEntropyLoss()

        def forward(self, x, labels):
            features = self.trunk(x)
            heads = self.heads
            total = 0.0
            for task in heads:
                total = total + self.loss(heads[task](features), labels[task])
            return total

    def broken():
        return multi_task_label_range.Net(3)(
            torch.randn(4, 7), {"topic": torch.tensor([0, 1, 3, 2]), "mood": torch.tensor([0, 5, 1, 2])}
        )

    def mended():
        return multi_task_label_range.Net(6)(
            torch.randn(4, 7), {"topic": torch.tensor([0, 1, 3, 2]), "mood": torch.tensor([0, 5, 1, 2])}
        )


@bug(
    "cat",
    "fuse",
    "torch.cat((text.mean(1), image), 1)",
    [(3, 24), (3, 8, 4, 4)],
    ["same number of dimensions"],
    "image.mean(dim=(2, 3))",
)
class fuse_text_and_maps:
    """Multimodal: a text vector and unpooled maps."""

    class Fuse(nn.Module):
        def forward(self, text, image):
            return torch.cat((text.mean(1), image), 1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cnn = nn.Conv2d(3, 8, 3, stride=2, padding=1)
            self.fuse = fuse_text_and_maps.Fuse()

        def forward(self, text, image):
            return self.fuse(text, self.cnn(image))

    def broken():
        return fuse_text_and_maps.Net()(torch.randn(3, 7, 24), torch.randn(3, 3, 8, 8))

    def mended():
        return torch.cat((torch.randn(3, 24), torch.randn(3, 8, 4, 4).mean((2, 3))), 1)


@bug(
    "index_select",
    None,
    "table.index_select(0, idx)",
    [(10, 4), (2, 3)],
    ["takes one row of indices"],
    "table[idx]",
)
class index_select_matrix:
    """index_select with a matrix of indices."""

    def broken():
        table = torch.randn(10, 4)
        idx = torch.randint(0, 10, (2, 3))
        return table.index_select(0, idx)

    def mended():
        return torch.randn(10, 4)[torch.randint(0, 10, (2, 3))]


@bug(
    "setitem",
    None,
    "buffer[:, :n] = x",
    [],
    ["has only 8 places"],
    "x[:, :8]",
)
class slice_assignment:
    """Assigning a longer text into a padded buffer."""

    def broken():
        buffer = torch.zeros(3, 8, dtype=torch.long)
        x = torch.randint(0, 5, (3, 9))
        n = x.size(1)
        buffer[:, :n] = x
        return buffer

    def mended():
        buffer = torch.zeros(3, 9, dtype=torch.long)
        buffer[:, :9] = torch.randint(0, 5, (3, 9))
        return buffer


@bug(
    "load_state_dict",
    None,
    "model.load_state_dict(state)",
    [],
    ["(2, 5) in the model and (3, 5)"],
    "model[1] = nn.Linear(5, 3)",
)
class state_dict_head:
    """Loading a checkpoint with another number of classes."""

    def broken():
        model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2))
        state = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)).state_dict()
        model.load_state_dict(state)
        return model

    def mended():
        m = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2))
        m.load_state_dict(m.state_dict())


@bug(
    "permute",
    None,
    "x.permute(0, 2, 1)",
    [(4, 3, 8, 8)],
    ["has 4, but (0, 2, 1) names 3"],
    "x.flatten(2).permute(0, 2, 1)",
)
class permute_of_maps:
    """Maps to tokens, flatten forgotten."""

    def broken():
        x = nn.Conv2d(2, 3, 1)(torch.randn(4, 2, 8, 8))
        return nn.LayerNorm(3)(x.permute(0, 2, 1))

    def mended():
        return torch.randn(4, 3, 8, 8).flatten(2).permute(0, 2, 1)


@bug(
    "pad",
    None,
    "F.pad(x, (0, 2, 1))",
    [(3, 5, 7)],
    ["two numbers for each dimension"],
    "F.pad(x, (0, 2, 1, 0))",
)
class pad_odd:
    """F.pad with three numbers."""

    def broken():
        x = torch.randn(3, 5, 7)
        return F.pad(x, (0, 2, 1))

    def mended():
        return F.pad(torch.randn(3, 5, 7), (0, 2, 0, 1))


@bug(
    "mse_loss",
    None,
    "loss_fn(out, batch)",
    [(4, 1, 26, 26), (4, 1, 28, 28)],
    ["26 = (13 - 1)*2"],
    "output_padding=1",
)
class autoencoder_module:
    """Autoencoder module: decoder without output_padding."""

    class AE(nn.Module):
        def __init__(self, op=0):
            super().__init__()
            self.enc1 = nn.Conv2d(1, 8, 3, stride=2, padding=1)
            self.enc2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
            self.dec1 = nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=op)
            self.dec2 = nn.ConvTranspose2d(8, 1, 3, stride=2, padding=1, output_padding=1)

        def forward(self, x):
            x = F.relu(self.enc2(F.relu(self.enc1(x))))
            return torch.sigmoid(self.dec2(F.relu(self.dec1(x))))

    def broken():
        loss_fn = nn.MSELoss()
        model = autoencoder_module.AE()
        batch = torch.rand(4, 1, 28, 28)
        out = model(batch)
        return loss_fn(out, batch)

    def mended():
        return autoencoder_module.AE(1)(torch.rand(4, 1, 28, 28))


@bug(
    "nll_loss",
    None,
    "criterion(log_probs.permute(0, 2, 1), tags)",
    [(2, 4, 7), (2, 6)],
    ["7 places in the scores and 6"],
    "[:, :, 1:]",
)
class tagger_special_tokens:
    """POS tagger: the tokens have one special token more than the tags."""

    def broken():
        criterion = nn.NLLLoss()
        log_probs = nn.Linear(5, 4)(torch.randn(2, 7, 5)).log_softmax(-1)
        tags = torch.randint(0, 4, (2, 6))
        return criterion(log_probs.permute(0, 2, 1), tags)

    def mended():
        return F.nll_loss(torch.randn(2, 4, 6), torch.randint(0, 4, (2, 6)))


@bug(
    "triplet_margin_loss",
    None,
    "triplet(anchor, positive, negative)",
    [(4, 8), (4, 8), (4, 6)],
    ["8 = out_features", "6 = out_features"],
    "b = nn.Linear(5, 8)",
)
class triplet_width:
    """Triplet: the negative comes through another tower."""

    def broken():
        a, b = nn.Linear(5, 8), nn.Linear(5, 6)
        x = torch.randn(4, 5)
        anchor, positive, negative = a(x), a(x), b(x)
        triplet = nn.TripletMarginLoss()
        return triplet(anchor, positive, negative)

    def mended():
        x = torch.randn(4, 8)
        return nn.TripletMarginLoss()(x, x, x)


@bug(
    "add",
    None,
    "x + self.pos(torch.arange(T))",
    [(4, 6, 8), (6, 10)],
    ["8 = embedding_dim", "10 = embedding_dim"],
    "self.pos = nn.Embedding(20, 8)",
)
class position_width:
    """Position embeddings of another width than the tokens."""

    class Net(nn.Module):
        def __init__(self, w=10):
            super().__init__()
            self.tok = nn.Embedding(30, 8)
            self.pos = nn.Embedding(20, w)

        def forward(self, ids):
            T = ids.size(1)
            x = self.tok(ids)
            x = x + self.pos(torch.arange(T))
            return x

    def broken():
        return position_width.Net()(torch.randint(0, 30, (4, 6)))

    def mended():
        return position_width.Net(8)(torch.randint(0, 30, (4, 6)))


@bug(
    "view",
    "attn",
    "x.view(B, T, self.h, C // self.h)",
    [(2, 7, 24)],
    ["24 = 5 x 4 + 4"],
    "self.h = 4",
)
class heads_floor_division:
    """nano GPT: C // h with heads that do not divide."""

    class Attn(nn.Module):
        def __init__(self, h):
            super().__init__()
            self.h = h

        def forward(self, x):
            B, T, C = x.shape
            return x.view(B, T, self.h, C // self.h).transpose(1, 2)

    class Net(nn.Module):
        def __init__(self, h):
            super().__init__()
            self.attn = heads_floor_division.Attn(h)

        def forward(self, x):
            return self.attn(x)

    def broken():
        return heads_floor_division.Net(5)(torch.randn(2, 7, 24))

    def mended():
        return heads_floor_division.Net(4)(torch.randn(2, 7, 24))


@bug(
    "conv2d",
    None,
    "F.conv2d(img, kernel)",
    [(1, 1, 8, 8), (3, 3)],
    ["needs a weight of 4 dimensions"],
    "kernel[None, None]",
)
class sobel_kernel:
    """Sobel filter with F.conv2d: the kernel has 2 dimensions."""

    def broken():
        kernel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        img = torch.rand(1, 1, 8, 8)
        return F.conv2d(img, kernel)

    def mended():
        return F.conv2d(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 3, 3))


@bug(
    "chunk",
    None,
    "self.to(style).chunk(2, dim=1)",
    [],
    ["the method .to() of every nn.Module"],
    None,
)
class film_layer:
    """FiLM / AdaIN: gamma without spatial dimensions."""

    class Film(nn.Module):
        def __init__(self):
            super().__init__()
            self.to = nn.Linear(5, 32)

        def forward(self, x, style):
            gamma, beta = self.to(style).chunk(2, dim=1)
            return gamma * x + beta

    def broken():
        return film_layer.Film()(torch.randn(2, 16, 8, 8), torch.randn(2, 5))

    def mended():
        return torch.randn(2, 16, 1, 1) * torch.randn(2, 16, 8, 8)


@bug(
    "reshape",
    None,
    "x.reshape(B, T // 4, 4, H)",
    [(2, 10, 6)],
    ["10 = 4 x 2 + 2"],
    "x[:, :8].reshape(B, T // 4, 4, H)",
)
class chunk_time:
    """Chunks of 4 tokens, the length is no multiple."""

    def broken():
        x = torch.randn(2, 10, 6)
        B, T, H = x.shape
        return x.reshape(B, T // 4, 4, H).mean(2)

    def mended():
        return torch.randn(2, 8, 6).reshape(2, 2, 4, 6).mean(2)


@bug(
    "add",
    "blocks.1",
    "x + y",
    [(2, 8, 20), (2, 8, 16)],
    ["x has 20 in dimension 2"],
    "padding=2, dilation=2",
)
class dilated_residual:
    """TCN block: dilation without enough padding, y computed before."""

    class Block(nn.Module):
        def __init__(self, d, p):
            super().__init__()
            self.conv = nn.Conv1d(8, 8, 3, dilation=d, padding=p)

        def forward(self, x):
            y = F.relu(self.conv(x))
            return x + y

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([dilated_residual.Block(1, 1), dilated_residual.Block(2, 0)])

        def forward(self, x):
            for b in self.blocks:
                x = b(x)
            return x

    def broken():
        return dilated_residual.Net()(torch.randn(2, 8, 20))

    def mended():
        return dilated_residual.Block(2, 2)(torch.randn(2, 8, 20))


@bug(
    "cat",
    None,
    "torch.cat([self.b1(x), self.b2(x)], 1)",
    [(2, 4, 8, 8), (2, 4, 6, 6)],
    ["a window of 3 over height 8"],
    "self.b2 = nn.Conv2d(3, 4, 3, padding=1)",
)
class inception_padding:
    """Inception: the 3x3 branch without padding."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.b1 = nn.Conv2d(3, 4, 1)
            self.b2 = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return torch.cat([self.b1(x), self.b2(x)], 1)

    def broken():
        return inception_padding.Net()(torch.randn(2, 3, 8, 8))

    def mended():
        return torch.cat([torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)], 1)


@bug(
    "matmul",
    "layer.1",
    "attn @ v",
    [(2, 4, 7, 7), (2, 7, 4, 6)],
    ["In attn @ v"],
    "attn @ v.transpose(1, 2)",
)
class value_not_split:
    """Attention: v keeps (B, T, N, D)."""

    class Attn(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(24, 72)

        def forward(self, x):
            B, T, _ = x.shape
            q, k, v = self.qkv(x).chunk(3, dim=-1)
            q = q.view(B, T, 4, 6).transpose(1, 2)
            k = k.view(B, T, 4, 6).transpose(1, 2)
            v = v.view(B, T, 4, 6)
            attn = (q @ k.transpose(-2, -1)).softmax(-1)
            out = attn @ v
            return out

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.ModuleList([nn.Linear(24, 24), value_not_split.Attn()])

        def forward(self, x):
            for layer in self.layer:
                x = layer(x)
            return x

    def broken():
        return value_not_split.Net()(torch.randn(2, 7, 24))

    def mended():
        return torch.randn(2, 4, 7, 7) @ torch.randn(2, 4, 7, 6)


@bug(
    "cross_entropy",
    None,
    "F.cross_entropy(preds, y)",
    [(4,), (4,)],
    ["class numbers (int64), chosen already"],
    "F.cross_entropy(logits, y)",
)
class loss_of_argmax:
    """Loss of the argmax."""

    def broken():
        logits = nn.Linear(5, 3)(torch.randn(4, 5))
        y = torch.tensor([0, 1, 2, 0])
        preds = logits.argmax(dim=1)
        return F.cross_entropy(preds, y)

    def mended():
        return F.cross_entropy(torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))


@bug(
    "cross_entropy",
    None,
    "nn.CrossEntropyLoss(weight=weights)(logits, y)",
    [(4, 3), (4,)],
    ["one class weight for each of the 3 classes"],
    None,
)
class class_weights:
    """Class weights for two of three classes."""

    def broken():
        logits = nn.Linear(5, 3)(torch.randn(4, 5))
        y = torch.tensor([0, 1, 2, 0])
        weights = torch.tensor([0.3, 0.7])
        return nn.CrossEntropyLoss(weight=weights)(logits, y)

    def mended():
        return nn.CrossEntropyLoss(weight=torch.ones(3))(torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))


@bug(
    "binary_cross_entropy_with_logits",
    None,
    "crit(logits, target)",
    [(4, 5), (4, 5)],
    ["pos_weight of binary_cross_entropy_with_logits must spread"],
    None,
)
class pos_weight:
    """pos_weight for another number of labels."""

    def broken():
        crit = nn.BCEWithLogitsLoss(pos_weight=torch.ones(3))
        logits, target = nn.Linear(6, 5)(torch.randn(4, 6)), torch.ones(4, 5)
        return crit(logits, target)

    def mended():
        return nn.BCEWithLogitsLoss(pos_weight=torch.ones(5))(torch.randn(4, 5), torch.ones(4, 5))


@bug(
    "unpack",
    None,
    "mu, logvar = self.fc(x).chunk(4, dim=1)",
    [],
    ["a tuple of 4"],
    "self.fc(x).chunk(2, dim=1)",
)
class chunk_unpack:
    """chunk into four, two names."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 20)

        def forward(self, x):
            mu, logvar = self.fc(x).chunk(4, dim=1)
            return mu + logvar

    def broken():
        return chunk_unpack.Net()(torch.randn(4, 5))

    def mended():
        return torch.randn(4, 20).chunk(2, 1)[0]


@bug(
    "scatter_add",
    None,
    "torch.zeros(5, 8).scatter_add(0, index, x)",
    [(6, 8), (6,)],
    ["as many dimensions as the input"],
    "index[:, None].expand_as(x)",
)
class scatter_nodes:
    """Message passing: scatter_add with a flat index."""

    def broken():
        x = torch.randn(6, 8)
        index = torch.tensor([0, 1, 1, 2, 4, 0])
        return torch.zeros(5, 8).scatter_add(0, index, x)

    def mended():
        return torch.zeros(5, 8).index_add(0, torch.tensor([0, 1, 1, 2, 4, 0]), torch.randn(6, 8))


@bug(
    "einsum",
    None,
    'torch.einsum("bid,bjd->bij", text, image)',
    [(4, 7, 8), (4, 9, 6)],
    ["the letter d is 8 in tensor 1"],
    "i = nn.Linear(5, 8)",
)
class einsum_widths:
    """einsum between two modalities of other widths."""

    def broken():
        t, i = nn.Linear(5, 8), nn.Linear(5, 6)
        text, image = t(torch.randn(4, 7, 5)), i(torch.randn(4, 9, 5))
        return torch.einsum("bid,bjd->bij", text, image)

    def mended():
        return torch.einsum("bid,bjd->bij", torch.randn(4, 7, 8), torch.randn(4, 9, 8))


@bug(
    "getitem",
    None,
    "x[torch.arange(4), lengths]",
    [(4, 6, 5), (3,)],
    ["lengths is (3,)"],
    None,
)
class advanced_index_lengths:
    """Picking the last state with lengths of another batch."""

    def broken():
        x = torch.randn(4, 6, 5)
        lengths = torch.tensor([5, 2, 3])
        return x[torch.arange(4), lengths]

    def mended():
        return torch.randn(4, 6, 5)[torch.arange(4), torch.tensor([5, 2, 3, 0])]


@bug(
    "getitem",
    None,
    "x[torch.arange(4), lengths]",
    [(4, 6, 5), (4,)],
    ["Index 6 in lengths"],
    "lengths - 1",
)
class lengths_as_places:
    """Lengths used as places: the longest is one too far."""

    def broken():
        x = torch.randn(4, 6, 5)
        lengths = torch.tensor([6, 2, 3, 1])
        return x[torch.arange(4), lengths]

    def mended():
        return torch.randn(4, 6, 5)[torch.arange(4), torch.tensor([5, 2, 3, 0])]


@bug(
    "Linear",
    None,
    "nn.Linear(width / 2, 3)",
    [],
    ["8.0, a float"],
    "nn.Linear(width // 2, 3)",
)
class float_size:
    """nn.Linear with a float size."""

    def broken():
        width = 16
        return nn.Sequential(nn.Linear(width, 8), nn.Linear(width / 2, 3))

    def mended():
        return nn.Linear(8, 3)


@bug(
    "TensorDataset",
    None,
    "TensorDataset(X, y)",
    [(10, 3), (9,)],
    ["y (9,) has 9"],
    None,
)
class tensor_dataset:
    """TensorDataset with different lengths."""

    def broken():
        from torch.utils.data import TensorDataset

        X, y = torch.randn(10, 3), torch.zeros(9)
        return TensorDataset(X, y)

    def mended():
        from torch.utils.data import TensorDataset

        return TensorDataset(torch.randn(9, 3), torch.zeros(9))


@bug(
    "matmul",
    None,
    "torch.matmul(user_emb, item_emb)",
    [(6, 8), (6, 8)],
    ["In user_emb @ item_emb"],
    "(user_emb * item_emb).sum(dim=-1)",
)
class matrix_factorisation:
    """Matrix factorisation: matmul instead of a row-wise product."""

    class MF(nn.Module):
        def __init__(self):
            super().__init__()
            self.user, self.item = nn.Embedding(10, 8), nn.Embedding(12, 8)

        def forward(self, u, i):
            user_emb, item_emb = self.user(u), self.item(i)
            return torch.matmul(user_emb, item_emb)

    def broken():
        return matrix_factorisation.MF()(torch.randint(0, 10, (6,)), torch.randint(0, 12, (6,)))

    def mended():
        return (torch.randn(6, 8) * torch.randn(6, 8)).sum(1)


@bug(
    "dot",
    None,
    "torch.dot(a, b)",
    [(6, 8), (6, 8)],
    ["dot multiplies two vectors, but a has 2"],
    "(a * b).sum(dim=-1)",
)
class dot_of_batches:
    """torch.dot on batches."""

    def broken():
        a, b = torch.randn(6, 8), torch.randn(6, 8)
        return torch.dot(a, b)

    def mended():
        return (torch.randn(6, 8) * torch.randn(6, 8)).sum(1)
