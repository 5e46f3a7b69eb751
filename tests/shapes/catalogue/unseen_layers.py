"""Bugs written before the rules that explain them: layers, and models made of them."""

import torch
import torch.nn.functional as F
from catalogue.bug import bug
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence


def tiny(**settings):
    from transformers import BertConfig

    return BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
        max_position_embeddings=16, **settings,
    )  # fmt: skip


@bug(
    "conv2d",
    "conv",
    "self.conv(x)",
    [(2, 16, 8, 8)],
    ["24 input channels", "is 16"],
    "self.conv(torch.cat((x, skip), dim=1))",
)
class unet_skip_forgotten:
    """The decoder's convolution expects the skip, but nobody joined it."""

    class Net(nn.Module):
        def __init__(self, cat):
            super().__init__()
            self.enc = nn.Conv2d(3, 8, 3, padding=1)
            self.mid = nn.Conv2d(8, 16, 3, padding=1)
            self.conv = nn.Conv2d(16 + 8, 8, 3, padding=1)
            self.cat = cat

    class Broken(Net):
        def forward(self, x):
            skip = self.enc(x)
            x = self.mid(F.max_pool2d(skip, 2))
            x = F.interpolate(x, scale_factor=2)
            return self.conv(x)

    class Mended(Net):
        def forward(self, x):
            skip = self.enc(x)
            x = self.mid(F.max_pool2d(skip, 2))
            x = F.interpolate(x, scale_factor=2)
            return self.conv(torch.cat([x, skip], 1))

    def broken():
        return unet_skip_forgotten.Broken(True)(torch.randn(2, 3, 8, 8))

    def mended():
        return unet_skip_forgotten.Mended(True)(torch.randn(2, 3, 8, 8))


@bug(
    "GroupNorm",
    "norm",
    "self.norm(x)",
    [(2, 10, 10, 12)],
    ["dimension 1 of x (2, 10, 10, 12) is 10"],
    "self.norm(x.permute(0, 3, 1, 2))",
)
class groupnorm_channels_last:
    """GroupNorm on channels-last maps."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.GroupNorm(4, 12)

        def forward(self, x):
            x = x.permute(0, 2, 3, 1)
            return self.norm(x)

    def broken():
        return groupnorm_channels_last.Net()(torch.randn(2, 12, 10, 10))

    def mended():
        return nn.GroupNorm(4, 12)(torch.randn(2, 12, 10, 10))


@bug(
    "LayerNorm",
    "ln",
    "self.ln(x)",
    [(2, 8, 16, 16)],
    ["(8,)", "ends in (16,)"],
    "self.ln(x.permute(0, 2, 3, 1))",
)
class layernorm_on_maps:
    """ConvNeXt: LayerNorm(C) on channels-first maps."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.dw = nn.Conv2d(8, 8, 7, padding=3, groups=8)
            self.ln = nn.LayerNorm(8)

        def forward(self, x):
            x = self.dw(x)
            x = self.ln(x)
            return x

    def broken():
        return layernorm_on_maps.Net()(torch.randn(2, 8, 16, 16))

    def mended():
        n = layernorm_on_maps.Net()
        return n.ln(n.dw(torch.randn(2, 8, 16, 16)).permute(0, 2, 3, 1))


@bug(
    "GRU",
    "decoder.gru",
    "self.gru(emb, hidden)",
    [(2, 5, 13)],
    ["2 = 1 x 2 directions"],
    "hidden.sum(dim=0, keepdim=True)",
)
class bidirectional_encoder_hidden:
    """Seq2seq: the bidirectional encoder's state goes to a unidirectional decoder."""

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(7, 13, bidirectional=True, batch_first=True)

        def forward(self, x):
            return self.gru(x)

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(30, 7)
            self.gru = nn.GRU(7, 13, batch_first=True)

        def forward(self, token, hidden):
            emb = self.embedding(token)
            return self.gru(emb, hidden)

    class Seq2Seq(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = bidirectional_encoder_hidden.Encoder()
            self.decoder = bidirectional_encoder_hidden.Decoder()

        def forward(self, x, y):
            _, hidden = self.encoder(x)
            return self.decoder(y, hidden)[0]

    def broken():
        return bidirectional_encoder_hidden.Seq2Seq()(torch.randn(5, 6, 7), torch.randint(0, 30, (5, 4)))

    def mended():
        m = bidirectional_encoder_hidden.Seq2Seq()
        return m.decoder(torch.randint(0, 30, (5, 4)), m.encoder(torch.randn(5, 6, 7))[1][:1].contiguous())[0]


@bug(
    "Linear",
    "fc",
    "self.fc(hidden[-1])",
    [(5, 13)],
    ["26 input features"],
    "torch.cat((hidden[-2], hidden[-1]), dim=-1)",
)
class last_state_of_one_direction:
    """Bidirectional LSTM: fc expects both directions but gets hidden[-1]."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(7, 13, bidirectional=True, batch_first=True)
            self.fc = nn.Linear(13 * 2, 3)

        def forward(self, x):
            _, (hidden, _) = self.lstm(x)
            return self.fc(hidden[-1])

    def broken():
        return last_state_of_one_direction.Net()(torch.randn(5, 6, 7))

    def mended():
        n = last_state_of_one_direction.Net()
        h = n.lstm(torch.randn(5, 6, 7))[1][0]
        return n.fc(torch.cat([h[-2], h[-1]], 1))


@bug(
    "MultiheadAttention",
    "encoder.layers.0.self_attn",
    "self.encoder(x, src_key_padding_mask=(ids == 0))",
    [(2, 7)],
    ["batch_first=False"],
    "batch_first=True",
)
class encoder_key_padding_layout:
    """TransformerEncoder: x is batch-first, the layer is not, the mask shows it."""

    class Net(nn.Module):
        def __init__(self, bf):
            super().__init__()
            self.emb = nn.Embedding(30, 24)
            self.encoder = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(24, 4, 32, batch_first=bf), 2, enable_nested_tensor=False
            )

        def forward(self, ids):
            x = self.emb(ids)
            return self.encoder(x, src_key_padding_mask=(ids == 0))

    def broken():
        return encoder_key_padding_layout.Net(False)(torch.randint(0, 30, (2, 7)))

    def mended():
        return encoder_key_padding_layout.Net(True)(torch.randint(1, 30, (2, 7)))


@bug(
    "MultiheadAttention",
    "dec.layers.0.self_attn",
    "self.dec(tgt, memory, tgt_mask=mask)",
    [(2, 5, 24), (7, 7)],
    ["the 5 tokens of tgt"],
    "tgt_mask=mask[:5, :5]",
)
class decoder_mask_of_source_length:
    """The causal mask was made with the source's length."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.dec = nn.TransformerDecoder(nn.TransformerDecoderLayer(24, 4, 32, batch_first=True), 2)

        def forward(self, tgt, memory):
            mask = nn.Transformer.generate_square_subsequent_mask(memory.size(1))
            return self.dec(tgt, memory, tgt_mask=mask)

    def broken():
        return decoder_mask_of_source_length.Net()(torch.randn(2, 5, 24), torch.randn(2, 7, 24))

    def mended():
        n = decoder_mask_of_source_length.Net()
        return n.dec(
            torch.randn(2, 5, 24), torch.randn(2, 7, 24), tgt_mask=nn.Transformer.generate_square_subsequent_mask(5)
        )


@bug(
    "Dropout",
    "drop",
    "self.drop(pooled)",
    [],
    ["names of its fields"],
    "outputs.pooler_output",
)
class unpacked_model_output:
    """_, pooled = bert(...) unpacks the keys since transformers 4."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            from transformers import BertModel

            self.bert = BertModel(tiny())
            self.drop = nn.Dropout(0.1)
            self.fc = nn.Linear(24, 2)

        def forward(self, ids):
            _, pooled = self.bert(ids)
            return self.fc(self.drop(pooled))

    def broken():
        return unpacked_model_output.Net()(torch.randint(0, 50, (3, 7)))

    def mended():
        n = unpacked_model_output.Net()
        return n.fc(n.bert(torch.randint(0, 50, (3, 7))).pooler_output)


@bug(
    "unpack",
    "bert.embeddings",
    "self.bert(input_ids, attention_mask=attention_mask)",
    [(3, 1, 7)],
    ["3 dimensions: (3, 1, 7)"],
    "input_ids.squeeze(1)",
)
class tokenizer_extra_dimension:
    """return_tensors='pt' in the data set adds a dimension that the collate keeps."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            from transformers import BertModel

            self.bert = BertModel(tiny())

        def forward(self, input_ids, attention_mask):
            return self.bert(input_ids, attention_mask=attention_mask).pooler_output

    def broken():
        items = [{"input_ids": torch.randint(0, 50, (1, 7)), "attention_mask": torch.ones(1, 7)} for _ in range(3)]
        batch = torch.utils.data.default_collate(items)
        return tokenizer_extra_dimension.Net()(**batch)

    def mended():
        return tokenizer_extra_dimension.Net()(torch.randint(0, 50, (3, 7)), torch.ones(3, 7))


@bug(
    "Embedding",
    "bert.embeddings.word_embeddings",
    "model(ids, labels=labels)",
    [(3, 7)],
    ["50 tokens, 0 to 49"],
    "model.resize_token_embeddings(54)",
)
class added_tokens_not_resized:
    """Tokens were added to the tokenizer, the model was not resized."""

    def broken():
        from transformers import BertForSequenceClassification

        model = BertForSequenceClassification(tiny(num_labels=3))
        ids = torch.randint(0, 50, (3, 7))
        ids[1, 2] = 53
        labels = torch.tensor([0, 2, 1])
        return model(ids, labels=labels).loss

    def mended():
        from transformers import BertForSequenceClassification

        model = BertForSequenceClassification(tiny(num_labels=3))
        return model(torch.randint(0, 50, (3, 7)), labels=torch.tensor([0, 2, 1])).loss


@bug(
    "cross_entropy",
    None,
    "model(ids, labels=labels)",
    [],
    ["scores for 2 classes"],
    "model.classifier = nn.Linear(24, 3)",
)
class num_labels_default:
    """Three classes, num_labels left at 2."""

    def broken():
        from transformers import BertForSequenceClassification

        model = BertForSequenceClassification(tiny())
        ids = torch.randint(0, 50, (4, 7))
        labels = torch.tensor([0, 2, 1, 1])
        return model(ids, labels=labels).loss

    def mended():
        from transformers import BertForSequenceClassification

        return BertForSequenceClassification(tiny(num_labels=3))(
            torch.randint(0, 50, (3, 7)), labels=torch.tensor([0, 2, 1])
        ).loss


@bug(
    "cross_entropy",
    None,
    "model(input_ids=ids, labels=labels)",
    [(2,)],
    ["scores each of the 7 tokens"],
    None,
)
class token_model_with_sentence_labels:
    """Token classification with one label a sentence."""

    def broken():
        from transformers import BertForTokenClassification

        model = BertForTokenClassification(tiny(num_labels=5))
        ids = torch.randint(0, 50, (2, 7))
        labels = torch.tensor([1, 4])
        return model(input_ids=ids, labels=labels).loss

    def mended():
        from transformers import BertForTokenClassification

        return BertForTokenClassification(tiny(num_labels=5))(
            torch.randint(0, 50, (2, 7)), labels=torch.randint(0, 5, (2, 7))
        ).loss


@bug(
    "Bilinear",
    "bil",
    "self.bil(head, dep)",
    [(3, 7, 5), (3, 6)],
    ["pairs vector with vector"],
    "dep[:, None].expand(-1, 7, -1)",
)
class bilinear_dims:
    """Bilinear over tokens and one sentence vector."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.bil = nn.Bilinear(5, 6, 2)

        def forward(self, head, dep):
            return self.bil(head, dep)

    def broken():
        return bilinear_dims.Net()(torch.randn(3, 7, 5), torch.randn(3, 6))

    def mended():
        return bilinear_dims.Net()(torch.randn(3, 7, 5), torch.randn(3, 7, 6))


@bug(
    "GRU",
    "rnn",
    "self.rnn(emb, h)",
    [(1, 6, 16)],
    ["6 is the number of tokens"],
    "torch.zeros(1, 4, 16)",
)
class gru_h0_from_time:
    """h0 made with x.size(1) though the layer is batch_first."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(30, 9)
            self.rnn = nn.GRU(9, 16, batch_first=True)

        def forward(self, x):
            emb = self.emb(x)
            h = torch.zeros(1, x.size(1), 16)
            return self.rnn(emb, h)[0]

    def broken():
        return gru_h0_from_time.Net()(torch.randint(0, 30, (4, 6)))

    def mended():
        return nn.GRU(9, 16, batch_first=True)(torch.randn(4, 6, 9))[0]


@bug(
    "cat",
    "attn",
    "torch.cat((hidden, encoder_outputs), dim=2)",
    [(1, 4, 16), (4, 6, 16)],
    ["dimension 0 number 0 has 1"],
    "hidden.transpose(0, 1).expand(-1, 6, -1)",
)
class bahdanau_hidden:
    """Bahdanau attention: the hidden state joined with encoder outputs without repeating."""

    class Attn(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Linear(32, 16)

        def forward(self, hidden, encoder_outputs):
            energy = torch.tanh(self.w(torch.cat((hidden, encoder_outputs), dim=2)))
            return energy

    class Dec(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = bahdanau_hidden.Attn()

        def forward(self, h, e):
            return self.attn(h, e)

    def broken():
        return bahdanau_hidden.Dec()(torch.randn(1, 4, 16), torch.randn(4, 6, 16))

    def mended():
        return bahdanau_hidden.Dec()(torch.randn(4, 6, 16), torch.randn(4, 6, 16))


@bug(
    "MultiheadAttention",
    "enc.layers.0.self_attn",
    "self.enc(x)",
    [(2, 7, 30)],
    ["embed_dim 32"],
    "nn.Linear(30, 32)(x)",
)
class encoder_d_model:
    """Features of 30 in a TransformerEncoder of 32."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.enc = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(d_model=32, nhead=4, batch_first=True), num_layers=2
            )

        def forward(self, x):
            return self.enc(x)

    def broken():
        return encoder_d_model.Net()(torch.randn(2, 7, 30))

    def mended():
        return encoder_d_model.Net()(torch.randn(2, 7, 32))


@bug(
    "Embedding",
    "bert.embeddings.token_type_embeddings",
    "self.bert(input_ids, token_type_ids=segments)",
    [(3, 7)],
    ["2 token types, 0 to 1"],
    "token_type_ids=segments - 1",
)
class segments_from_one:
    """Segments 1 and 2 instead of 0 and 1."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            from transformers import BertModel

            self.bert = BertModel(tiny())

        def forward(self, input_ids, segments):
            return self.bert(input_ids, token_type_ids=segments).pooler_output

    def broken():
        return segments_from_one.Net()(torch.randint(0, 50, (3, 7)), torch.tensor([[1, 1, 1, 1, 2, 2, 2]] * 3))

    def mended():
        return segments_from_one.Net()(torch.randint(0, 50, (3, 7)), torch.tensor([[0, 0, 0, 0, 1, 1, 1]] * 3))


@bug(
    "binary_cross_entropy_with_logits",
    None,
    "model(input_ids=ids, labels=labels)",
    [(4, 3)],
    ["needs targets of floats"],
    "labels=labels.float()",
)
class multilabel_ints:
    """problem_type multi_label with whole labels."""

    def broken():
        from transformers import BertForSequenceClassification

        model = BertForSequenceClassification(tiny(num_labels=3, problem_type="multi_label_classification"))
        ids = torch.randint(0, 50, (4, 7))
        labels = torch.randint(0, 2, (4, 3))
        return model(input_ids=ids, labels=labels).loss

    def mended():
        from transformers import BertForSequenceClassification

        return BertForSequenceClassification(tiny(num_labels=3, problem_type="multi_label_classification"))(
            torch.randint(0, 50, (4, 7)), labels=torch.rand(4, 3)
        ).loss


@bug(
    "conv2d",
    "dw",
    "self.dw(x)",
    [(2, 12, 8, 8)],
    ["8 input channels"],
    "nn.Conv2d(12, 12, 3, padding=1, groups=12)",
)
class depthwise_groups:
    """Depthwise separable: functional conv with wrong groups, weight as parameter."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.dw = nn.Conv2d(8, 8, 3, groups=8, padding=1)

        def forward(self, x):
            return self.dw(x)

    def broken():
        return depthwise_groups.Net()(torch.randn(2, 12, 8, 8))

    def mended():
        return depthwise_groups.Net()(torch.randn(2, 8, 8, 8))


@bug(
    "GRU",
    "rnn",
    "self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))",
    [(3,)],
    ["add up to 7 tokens, but it holds"],
    "batch_first=True",
)
class packed_layout:
    """pack without batch_first."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(5, 6, batch_first=True)

        def forward(self, x, lengths):
            return self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False))[1]

    def broken():
        return packed_layout.Net()(torch.randn(3, 4, 5), torch.tensor([2, 4, 1]))

    def mended():
        return nn.GRU(5, 6, batch_first=True)(torch.randn(3, 4, 5))[1]


@bug(
    "LSTM",
    "lstm",
    "self.lstm(pooled, h)",
    [(3, 24)],
    ["for one text of 3 tokens"],
    "pooled.unsqueeze(1)",
)
class bert_pooled_hx:
    """LSTM over the pooled vector with a batched state."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(24, 5, batch_first=True)

        def forward(self, pooled):
            h = torch.zeros(1, 3, 5), torch.zeros(1, 3, 5)
            out, _ = self.lstm(pooled, h)
            return out

    def broken():
        return bert_pooled_hx.Net()(torch.randn(3, 24))

    def mended():
        return nn.LSTM(24, 5, batch_first=True)(torch.randn(3, 1, 24))[0]


@bug(
    "Linear",
    "mlp.0",
    "self.mlp(x.mean(dim=1))",
    [(3, 20)],
    ["x.mean(dim=1) (3, 20) is 20"],
    "self.mlp(x.mean(dim=2))",
)
class pool_wrong_dim:
    """Mean over the wrong dimension of conv features (B, C, L)."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(4, 6, 3, padding=1)
            self.mlp = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

        def forward(self, x):
            x = self.conv(x)
            return self.mlp(x.mean(dim=1))

    def broken():
        return pool_wrong_dim.Net()(torch.randn(3, 4, 20))

    def mended():
        return nn.Linear(6, 8)(torch.randn(3, 6))


@bug(
    "Unflatten",
    "dec.0",
    "self.dec(z)",
    [(4, 800)],
    ["16 x 7 x 7 = 784"],
    "self.fc = nn.Linear(5, 784)",
)
class vae_unflatten:
    """VAE decoder: Unflatten does not fit the linear layer before it."""

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 800)
            self.dec = nn.Sequential(nn.Unflatten(1, (16, 7, 7)), nn.ConvTranspose2d(16, 8, 4, 2, 1))

        def forward(self, z):
            z = self.fc(z)
            return self.dec(z)

    def broken():
        return vae_unflatten.VAE()(torch.randn(4, 5))

    def mended():
        return nn.Linear(5, 784)(torch.randn(4, 5))


@bug(
    "Linear",
    "blocks.0.proj",
    "self.proj(x.transpose(1, 2))",
    [(2, 24, 9)],
    ["24 input features"],
    "self.proj(x)",
)
class swapped_needlessly:
    """A needless transpose before a linear layer."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = nn.Linear(24, 24)

        def forward(self, x):
            return self.proj(x.transpose(1, 2))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.Sequential(swapped_needlessly.Block())

        def forward(self, x):
            return self.blocks(x)

    def broken():
        return swapped_needlessly.Net()(torch.randn(2, 9, 24))

    def mended():
        return nn.Linear(24, 24)(torch.randn(2, 9, 24))


@bug(
    "MultiheadAttention",
    "attn",
    "self.attn(q, x, x)",
    [(1, 1, 24), (4, 7, 24)],
    ["q (1, 1, 24) has batch 1"],
    "q.expand(4, -1, -1)",
)
class learned_query:
    """A learned query for pooling is not repeated over the batch."""

    class Pool(nn.Module):
        def __init__(self):
            super().__init__()
            self.query = nn.Parameter(torch.randn(1, 1, 24))
            self.attn = nn.MultiheadAttention(24, 4, batch_first=True)

        def forward(self, x):
            q = self.query
            return self.attn(q, x, x)[0]

    def broken():
        return learned_query.Pool()(torch.randn(4, 7, 24))

    def mended():
        return nn.MultiheadAttention(24, 4, batch_first=True)(torch.randn(4, 1, 24), *[torch.randn(4, 7, 24)] * 2)[0]
