"""More working models: less common layers, losses and inputs, and transformers' other models."""

from __future__ import annotations

import torch
import transformers
from catalogue.silent import VOCABULARY, Call, Net, call, encoder, padded, texts, tiny_bert, words
from catalogue.silent_working import working
from torch import nn
from torch.nn import functional as F


def image(channels: int = 3, size: int = 12, rows: int = 4) -> torch.Tensor:
    return torch.rand(rows, channels, size, size)


@working
def transformer_seq2seq() -> Call:
    m = nn.Transformer(24, 2, 1, 1, 48, batch_first=True)

    def forward(self, src, tgt, src_mask):
        T = tgt.shape[1]
        cm = nn.Transformer.generate_square_subsequent_mask(T)
        return self.o(
            self.t(
                self.e(src),
                self.e(tgt),
                tgt_mask=cm.to(self.o.weight.dtype),
                src_key_padding_mask=src_mask == 0,
                memory_key_padding_mask=src_mask == 0,
            )
        )

    return call(Net(forward, t=m, e=words(), o=nn.Linear(24, VOCABULARY)), padded()[0], texts(4, 7), padded()[1])


@working
def lstm_seq2seq() -> Call:
    def forward(self, src, tgt):
        _, h = self.a(self.e(src))
        return self.o(self.b(self.e(tgt), h)[0])

    return call(
        Net(
            forward,
            e=words(),
            a=nn.LSTM(24, 6, batch_first=True),
            b=nn.LSTM(24, 6, batch_first=True),
            o=nn.Linear(6, 9),
        ),
        texts(4, 9),
        texts(4, 6),
    )


@working
def resnet_block() -> Call:
    class R(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.a = nn.Conv2d(c, c, 3, padding=1, bias=False)
            self.n = nn.BatchNorm2d(c)
            self.b = nn.Conv2d(c, c, 3, padding=1, bias=False)
            self.m = nn.BatchNorm2d(c)

        def forward(self, x):
            return F.relu(x + self.m(self.b(F.relu(self.n(self.a(x))))))

    return call(
        nn.Sequential(nn.Conv2d(3, 8, 3), R(8), R(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)),
        image(),
        labels=torch.tensor([0, 1, 2, 0]),
        loss_fn=F.cross_entropy,
    )


@working
def unet() -> Call:
    def forward(self, x):
        a = F.relu(self.d1(x))
        b = F.relu(self.d2(F.max_pool2d(a, 2)))
        u = F.interpolate(b, scale_factor=2)
        return self.o(torch.cat([a, u], 1))

    return call(
        Net(forward, d1=nn.Conv2d(3, 8, 3, padding=1), d2=nn.Conv2d(8, 8, 3, padding=1), o=nn.Conv2d(16, 4, 1)), image()
    )


@working
def gru_cell_loop() -> Call:
    def forward(self, x):
        h = x.new_zeros(x.shape[0], 6)
        for t in range(x.shape[1]):
            h = self.c(x[:, t], h)
        return self.o(h)

    return call(Net(forward, c=nn.GRUCell(5, 6), o=nn.Linear(6, 2)), torch.randn(4, 9, 5))


@working
def gru_cell_masked() -> Call:
    def forward(self, ids, mask):
        x = self.e(ids)
        h = x.new_zeros(x.shape[0], 6)
        for t in range(x.shape[1]):
            n = self.c(x[:, t], h)
            m = mask[:, t, None]
            h = torch.where(m.bool(), n, h)
        return self.o(h)

    return call(Net(forward, e=words(), c=nn.GRUCell(24, 6), o=nn.Linear(6, 2)), *padded())


@working
def lstm_explicit_state() -> Call:
    def forward(self, x):
        h = torch.zeros(2, x.size(0), 6)
        c = torch.zeros(2, x.size(0), 6)
        out, _ = self.l(x, (h, c))
        return self.o(out[:, -1, :])

    return call(
        Net(forward, l=nn.LSTM(5, 6, 2, batch_first=True, dropout=0.2), o=nn.Linear(6, 2)), torch.randn(4, 9, 5)
    )


@working
def tcn() -> Call:
    return call(
        nn.Sequential(
            nn.Conv1d(3, 8, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv1d(8, 8, 3, padding=4, dilation=4),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
            nn.Linear(8, 2),
        ),
        torch.randn(4, 3, 30),
    )


@working
def hierarchical() -> Call:
    def forward(self, ids):
        b, n, t = ids.shape
        x = self.e(ids.view(b * n, t))
        _, h = self.a(x)
        h = h[-1].view(b, n, -1)
        _, g = self.b(h)
        return self.o(g[-1])

    return call(
        Net(forward, e=words(), a=nn.GRU(24, 6, batch_first=True), b=nn.GRU(6, 6, batch_first=True), o=nn.Linear(6, 2)),
        torch.randint(1, VOCABULARY, (4, 3, 8)),
    )


@working
def multiple_choice() -> Call:
    ids = torch.randint(1, VOCABULARY, (4, 3, 8))
    return call(
        tiny_bert("BertForMultipleChoice", "sdpa"),
        ids,
        attention_mask=torch.ones_like(ids),
        labels=torch.tensor([0, 1, 2, 0]),
    )


@working
def qa_labels() -> Call:
    ids, m = padded()
    return call(
        tiny_bert("BertForQuestionAnswering", "sdpa"),
        ids,
        attention_mask=m,
        start_positions=torch.tensor([1, 2, 3, 0]),
        end_positions=torch.tensor([2, 3, 4, 1]),
    )


@working
def pretraining() -> Call:
    ids, m = padded()
    return call(
        tiny_bert("BertForPreTraining", "sdpa"),
        ids,
        attention_mask=m,
        labels=ids,
        next_sentence_label=torch.tensor([0, 1, 0, 1]),
    )


@working
def roberta() -> Call:
    c = transformers.RobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=42,
        pad_token_id=1,
    )
    ids, m = padded()
    ids = ids.clamp(min=2) * m + (1 - m)
    return call(transformers.RobertaForSequenceClassification(c), ids, attention_mask=m)


@working
def albert() -> Call:
    c = transformers.AlbertConfig(
        vocab_size=VOCABULARY,
        embedding_size=12,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=42,
    )
    return call(transformers.AlbertForSequenceClassification(c), *padded())


@working
def electra() -> Call:
    c = transformers.ElectraConfig(
        vocab_size=VOCABULARY,
        embedding_size=12,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=48,
        max_position_embeddings=42,
    )
    return call(transformers.ElectraForTokenClassification(c), *padded())


@working
def xlnet() -> Call:
    c = transformers.XLNetConfig(vocab_size=VOCABULARY, d_model=24, n_layer=2, n_head=3, d_inner=48)
    return call(transformers.XLNetModel(c), padded()[0], attention_mask=padded()[1].float())


@working
def vit() -> Call:
    c = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=16, patch_size=4
    )
    return call(transformers.ViTForImageClassification(c), image(3, 16))


@working
def clip() -> Call:
    c = transformers.CLIPConfig(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": 24,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 3,
            "max_position_embeddings": 40,
            "eos_token_id": 99,
            "bos_token_id": 98,
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 3,
            "image_size": 16,
            "patch_size": 8,
        },
        projection_dim=12,
    )
    return call(transformers.CLIPModel(c), input_ids=texts(4, 9), pixel_values=image(3, 16))


@working
def bart() -> Call:
    c = transformers.BartConfig(
        vocab_size=VOCABULARY,
        d_model=24,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=3,
        decoder_attention_heads=3,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=40,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
    )
    return call(
        transformers.BartForConditionalGeneration(c),
        padded()[0].clamp(min=0),
        attention_mask=padded()[1],
        labels=texts(4, 7),
    )


@working
def llama() -> Call:
    c = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    return call(transformers.LlamaForCausalLM(c), *padded())


@working
def wav2conformer_relshift() -> Call:
    def rel(x):
        b, h, t, n = x.shape
        z = torch.zeros(b, h, t, 1, dtype=x.dtype)
        x = torch.cat([z, x], -1).view(b, h, n + 1, t)[:, :, 1:].view(b, h, t, n)
        return x[..., : n // 2 + 1]

    def forward(self, x):
        b, t, _ = x.shape
        q = self.q(x).view(b, t, 2, 3).transpose(1, 2)
        p = (
            self.p(torch.randn(2 * t - 1, 6, generator=torch.Generator().manual_seed(0)).to(x))
            .view(2 * t - 1, 2, 3)
            .transpose(0, 1)
        )
        sc = q @ q.transpose(-1, -2) + rel(q @ p.transpose(-1, -2))
        return (sc.softmax(-1) @ q).transpose(1, 2).reshape(b, t, 6)

    return call(Net(forward, q=nn.Linear(6, 6), p=nn.Linear(6, 6)), torch.randn(4, 9, 6))


@working
def norms() -> Call:
    return call(
        nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.GroupNorm(2, 8),
            nn.Conv2d(8, 8, 3),
            nn.InstanceNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.LazyLinear(3),
        ),
        image(),
    )


@working
def spectral_weight_norm() -> Call:
    return call(
        nn.Sequential(
            torch.nn.utils.parametrizations.spectral_norm(nn.Linear(5, 6)),
            nn.ReLU(),
            torch.nn.utils.parametrizations.weight_norm(nn.Linear(6, 2)),
        ),
        torch.randn(4, 5),
    )


@working
def fnet() -> Call:
    def forward(self, x):
        e = self.e(x)
        return self.o(torch.fft.fft2(e).real.mean(1))

    return call(Net(forward, e=words(), o=nn.Linear(24, 2)), texts())


@working
def pointnet() -> Call:
    return call(
        Net(lambda self, x: self.o(torch.relu(self.c(x)).amax(-1)), c=nn.Conv1d(3, 16, 1), o=nn.Linear(16, 4)),
        torch.randn(4, 3, 50),
    )


@working
def siamese() -> Call:
    return call(
        Net(lambda self, a, b: F.cosine_similarity(self.i(a), self.i(b)), i=nn.Linear(5, 6)),
        torch.randn(4, 5),
        torch.randn(4, 5),
        labels=torch.rand(4),
        loss_fn=nn.MSELoss(),
    )


@working
def list_of_tensors() -> Call:
    return call(
        Net(lambda self, xs: [self.i(x) for x in xs], i=nn.Linear(5, 6)), [torch.randn(4, 5), torch.randn(4, 5)]
    )


@working
def nested_dict_in() -> Call:
    return call(
        Net(
            lambda self, batch: {"a": {"b": self.i(batch["x"])}, "c": (self.j(batch["y"]),)},
            i=nn.Linear(5, 6),
            j=nn.Linear(3, 2),
        ),
        {"x": torch.randn(4, 5), "y": torch.randn(4, 3)},
    )


@working
def multilabel() -> Call:
    return call(
        nn.Linear(5, 6), torch.randn(4, 5), labels=torch.randint(0, 2, (4, 6)).float(), loss_fn=nn.BCEWithLogitsLoss()
    )


@working
def deepsets_mask() -> Call:
    def forward(self, x, mask):
        h = torch.relu(self.i(x)) * mask[..., None]
        return self.o(h.sum(1) / mask.sum(1, keepdim=True).clamp(min=1))

    return call(Net(forward, i=nn.Linear(5, 6), o=nn.Linear(6, 2)), torch.randn(4, 9, 5), padded(4, 9)[1])


@working
def gnn_edges() -> Call:
    def forward(self, x, edge_index):
        src, dst = edge_index
        h = self.i(x)
        return h.index_add(0, dst, h[src])

    return call(Net(forward, i=nn.Linear(5, 6)), torch.randn(6, 5), torch.tensor([[0, 1, 2], [3, 4, 5]]))


@working
def scalar_out() -> Call:
    return call(Net(lambda self, x: self.i(x).pow(2).mean(), i=nn.Linear(5, 6)), torch.randn(4, 5))


@working
def recommender() -> Call:
    return call(
        Net(
            lambda self, user, item: (self.u(user) * self.v(item)).sum(-1) + self.b(item).squeeze(-1),
            u=nn.Embedding(11, 4),
            v=nn.Embedding(13, 4),
            b=nn.Embedding(13, 1),
        ),
        torch.tensor([1, 2, 3, 4]),
        torch.tensor([5, 6, 7, 8]),
    )


@working
def recommender_loss() -> Call:
    m = recommender().model
    return call(m, torch.tensor([1, 2, 3, 4]), torch.tensor([5, 6, 7, 8]), labels=torch.rand(4), loss_fn=F.mse_loss)


@working
def tabular() -> Call:
    def forward(self, cat, num):
        return self.o(torch.cat([self.e(cat).flatten(1), num], 1))

    return call(Net(forward, e=nn.Embedding(9, 3), o=nn.Linear(11, 2)), torch.randint(0, 9, (4, 2)), torch.randn(4, 5))


@working
def triplet() -> Call:
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.i = nn.Linear(5, 6)

        def forward(self, a, p, n):
            a, p, n = self.i(a), self.i(p), self.i(n)
            return {"loss": F.triplet_margin_loss(a, p, n), "a": a}

    return call(M(), torch.randn(4, 5), torch.randn(4, 5), torch.randn(4, 5))


@working
def supcon() -> Call:
    def forward(self, x, labels):
        z = F.normalize(self.i(x), dim=1)
        sim = z @ z.t() / 0.1
        m = (labels.unsqueeze(0) == labels.unsqueeze(1)).float()
        lp = sim.log_softmax(1)
        return {"loss": -(m * lp).sum(1).div(m.sum(1)).mean(), "z": z}

    return call(Net(forward, i=nn.Linear(5, 6)), torch.randn(6, 5), labels=torch.tensor([0, 1, 0, 1, 2, 2]))


@working
def ranking() -> Call:
    def forward(self, x, labels):
        p = self.i(x).squeeze(-1)
        d = p.unsqueeze(1) - p
        return {"loss": F.softplus(-d).mean(), "p": p}

    return call(Net(forward, i=nn.Linear(5, 1)), torch.randn(4, 5), labels=torch.rand(4))


@working
def cross_attention_one_key() -> Call:
    def forward(self, x, c):
        return self.o((self.e(x) + self.m(self.e(x), c.unsqueeze(1), c.unsqueeze(1))[0]).mean(1))

    return call(
        Net(forward, e=words(), m=nn.MultiheadAttention(24, 3, batch_first=True), o=nn.Linear(24, 2)),
        texts(),
        torch.randn(4, 24),
    )


@working
def span_softmax() -> Call:
    return call(Net(lambda self, x: self.o(self.e(x)).softmax(1).unbind(-1), e=words(), o=nn.Linear(24, 2)), texts())


@working
def linear_attention() -> Call:
    def forward(self, x):
        e = self.e(x)
        q = self.q(e).softmax(-1)
        k = self.k(e).softmax(1)
        return q @ (k.transpose(1, 2) @ e)

    return call(Net(forward, e=words(), q=nn.Linear(24, 24), k=nn.Linear(24, 24)), texts())


@working
def slot_attention() -> Call:
    def forward(self, x):
        e = self.e(x)
        sl = self.sl.expand(x.shape[0], -1, -1)
        a = (self.k(e) @ self.q(sl).transpose(1, 2)).softmax(-1) + 1e-8
        a = a / a.sum(1, keepdim=True)
        return a.transpose(1, 2) @ e

    return call(
        Net(forward, e=words(), q=nn.Linear(24, 24), k=nn.Linear(24, 24), sl=nn.Parameter(torch.randn(1, 3, 24))),
        texts(),
    )


@working
def mask_for_loss_only() -> Call:
    def forward(self, ids, mask, labels):
        o = self.o(self.e(ids))
        each = F.cross_entropy(o.transpose(1, 2), labels, reduction="none")
        return {"loss": (each * mask).sum() / mask.sum(), "logits": o}

    return call(Net(forward, e=words(), o=nn.Linear(24, 7)), *padded(), labels=texts() % 7)


@working
def sampling_gumbel() -> Call:
    return call(
        Net(lambda self, x: self.o(F.gumbel_softmax(self.i(x), hard=True)), i=nn.Linear(5, 6), o=nn.Linear(6, 2)),
        torch.randn(4, 5),
    )


@working
def distribution_vae() -> Call:
    def forward(self, x):
        m, v = self.i(x).chunk(2, -1)
        return self.o(torch.distributions.Normal(m, F.softplus(v) + 1e-3).rsample())

    return call(Net(forward, i=nn.Linear(5, 6), o=nn.Linear(3, 5)), torch.randn(4, 5))


@working
def unbatched_vector() -> Call:
    return call(nn.Linear(5, 6), torch.randn(5))


@working
def conv1d_text_float() -> Call:
    return call(
        Net(lambda self, x: self.o(self.c(x.transpose(1, 2)).amax(-1)), c=nn.Conv1d(5, 6, 3), o=nn.Linear(6, 2)),
        torch.randn(4, 9, 5),
    )


@working
def ext_positions() -> Call:
    def forward(self, ids):
        return self.o(self.b(self.e(ids) + self.p(torch.arange(ids.size(1), device=ids.device)).unsqueeze(0)).mean(1))

    return call(Net(forward, e=words(), p=nn.Embedding(12, 24), b=encoder(True), o=nn.Linear(24, 2)), texts())


@working
def sinus() -> Call:
    class PE(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("pe", torch.randn(1, 50, 24))
            self.d = nn.Dropout(0.1)

        def forward(self, x):
            return self.d(x + self.pe[:, : x.size(1)])

    return call(Net(lambda self, x: self.o(self.p(self.e(x)).mean(1)), e=words(), p=PE(), o=nn.Linear(24, 2)), texts())


@working
def bert_own_mean() -> Call:
    def forward(self, input_ids, attention_mask):
        h = self.b(input_ids, attention_mask=attention_mask)[0]
        m = attention_mask.unsqueeze(-1).expand(h.size()).to(h.dtype)
        return self.o(torch.sum(h * m, 1) / torch.clamp(m.sum(1), min=1e-9))

    return call(Net(forward, b=tiny_bert(attention="sdpa"), o=nn.Linear(24, 2)), *padded())


@working
def bert_max_masked() -> Call:
    def forward(self, input_ids, attention_mask):
        h = self.b(input_ids, attention_mask=attention_mask)[0]
        h[attention_mask == 0] = -1e9
        return self.o(h.max(1)[0])

    return call(Net(forward, b=tiny_bert(attention="sdpa"), o=nn.Linear(24, 2)), *padded())


@working
def frozen_bert() -> Call:
    b = tiny_bert(attention="sdpa").requires_grad_(False)

    def forward(self, input_ids, attention_mask):
        with torch.no_grad():
            h = self.b(input_ids, attention_mask=attention_mask).pooler_output
        return self.o(h)

    return call(Net(forward, b=b, o=nn.Linear(24, 2)), *padded())


@working
def diffusion_like() -> Call:
    def forward(self, x, t):
        return self.o(torch.cat([x, self.t(t)], -1))

    return call(Net(forward, t=nn.Embedding(10, 3), o=nn.Linear(8, 5)), torch.randn(4, 5), torch.randint(0, 10, (4,)))


@working
def char_word() -> Call:
    def forward(self, tokens, chars):
        b, t, c = chars.shape
        h = self.cc(self.ce(chars.view(b * t, c)).transpose(1, 2)).amax(-1).view(b, t, -1)
        return self.o(torch.cat([self.e(tokens), h], -1))

    return call(
        Net(forward, e=words(), ce=nn.Embedding(30, 4), cc=nn.Conv1d(4, 6, 3, padding=1), o=nn.Linear(30, 5)),
        texts(4, 9),
        torch.randint(0, 30, (4, 9, 6)),
    )


@working
def straight_through() -> Call:
    def forward(self, x):
        h = self.i(x)
        q = torch.round(h)
        return self.o(h + (q - h).detach())

    return call(Net(forward, i=nn.Linear(5, 6), o=nn.Linear(6, 2)), torch.randn(4, 5))


@working
def vq() -> Call:
    def forward(self, x):
        h = self.i(x)
        d = torch.cdist(h, self.c.weight)
        q = self.c(d.argmin(-1))
        loss = F.mse_loss(q, h.detach()) + 0.25 * F.mse_loss(h, q.detach())
        z = h + (q - h).detach()
        r = self.o(z)
        return {"loss": loss + F.mse_loss(r, x), "r": r}

    return call(Net(forward, i=nn.Linear(5, 6), c=nn.Embedding(8, 6), o=nn.Linear(6, 5)), torch.randn(4, 5))
