"""Embeddings, recurrent layers, tuples and outputs, transformers' models."""

import torch
from catalogue.bug import bug
from torch import nn


def tiny(**options):
    from transformers import BertConfig, BertModel

    sizes = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 13,
        "vocab_size": 23,
        "max_position_embeddings": 17,
    }
    torch.manual_seed(0)
    return BertModel(BertConfig(**{**sizes, **options}))


@bug(
    "Embedding",
    "embedding",
    "self.embedding(ids)",
    [(3, 11)],
    ["23 rows, 0 to 22", "holds 23"],
    "self.embedding = nn.Embedding(24, 7)",
)
class a_token_outside_the_table:
    """The tokenizer knows one token more than the table."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = nn.Embedding(23, 7)

            def forward(self, ids):
                return self.embedding(ids)

        return Model()(torch.arange(13, 24).repeat(3, 1))

    def mended():
        return nn.Embedding(24, 7)(torch.arange(13, 24).repeat(3, 1))


@bug(
    "Embedding",
    "position_embeddings",
    "self.position_embeddings(positions)",
    [(13,)],
    ["11 positions", "every table"],
    "self.position_embeddings(positions[:11])",
)
class a_position_too_far:
    """One text is longer than the table of positions."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.word_embeddings = nn.Embedding(23, 7)
                self.position_embeddings = nn.Embedding(11, 7)

            def forward(self, ids):
                positions = torch.arange(ids.size(1))
                return self.word_embeddings(ids) + self.position_embeddings(positions)

        return Model()(torch.randint(0, 23, (3, 13)))

    def mended():
        return nn.Embedding(13, 7)(torch.arange(13))


@bug(
    "Embedding",
    "token_type_embeddings",
    "self.token_type_embeddings(segments)",
    [(3, 11)],
    "2 token types",
    "self.token_type_embeddings = nn.Embedding(3, 7)",
)
class a_third_segment:
    """Segments 0, 1 and 2 in a table of two."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.token_type_embeddings = nn.Embedding(2, 7)

            def forward(self, segments):
                return self.token_type_embeddings(segments)

        return Model()(torch.full((3, 11), 2))

    def mended():
        return nn.Embedding(3, 7)(torch.full((3, 11), 2))


@bug("Embedding", "0", "model(x)", [(3, 11)], "whole numbers", "model(x.long())")
class floats_as_ids:
    """Token ids that became floats."""

    def broken():
        model = nn.Sequential(nn.Embedding(23, 7), nn.Linear(7, 2))
        x = torch.ones(3, 11)
        return model(x)

    def mended():
        return nn.Sequential(nn.Embedding(23, 7), nn.Linear(7, 2))(torch.ones(3, 11).long())


@bug(
    "LSTM", "lstm", "self.lstm(embedded)", [(3, 11, 7)], "input_size 13", "self.lstm = nn.LSTM(7, 5, batch_first=True)"
)
class lstm_of_another_width:
    """The LSTM was made for another embedding."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = nn.Embedding(23, 7)
                self.lstm = nn.LSTM(13, 5, batch_first=True)

            def forward(self, ids):
                embedded = self.embedding(ids)
                return self.lstm(embedded)[0]

        return Model()(torch.randint(0, 23, (3, 11)))

    def mended():
        return nn.LSTM(7, 5, batch_first=True)(torch.randn(3, 11, 7))[0]


@bug("GRU", "gru", "self.gru(x, state)", [(3, 11, 7), (1, 11, 5)], "first state of (1, 3, 5)", "torch.zeros(1, 3, 5)")
class a_state_for_another_batch:
    """A state kept for a batch of another size."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.gru = nn.GRU(7, 5, batch_first=True)

            def forward(self, x, state):
                return self.gru(x, state)[0]

        return Model()(torch.randn(3, 11, 7), torch.zeros(1, 11, 5))

    def mended():
        return nn.GRU(7, 5, batch_first=True)(torch.randn(3, 11, 7), torch.zeros(1, 3, 5))[0]


@bug("LSTM", "lstm", "self.lstm(image)", [(3, 5, 7, 11)], "4 dimensions", "self.lstm(image.flatten(2))")
class a_map_into_an_lstm:
    """Four dimensions from a convolution into an LSTM."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(77, 13, batch_first=True)

            def forward(self, image):
                return self.lstm(image)[0]

        return Model()(torch.randn(3, 5, 7, 11))

    def mended():
        return nn.LSTM(77, 13, batch_first=True)(torch.randn(3, 5, 7, 11).flatten(2))[0]


@bug("Linear", "fc", "self.fc(x)", [(3, 11, 5)], "returns (output, state)", "self.fc(x[0])")
class lstm_output_into_linear:
    """An LSTM returns a tuple."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(7, 5, batch_first=True)
                self.fc = nn.Linear(5, 2)

            def forward(self, x):
                x = self.lstm(x)
                return self.fc(x)

        return Model()(torch.randn(3, 11, 7))

    def mended():
        output, _ = nn.LSTM(7, 5, batch_first=True)(torch.randn(3, 11, 7))
        return nn.Linear(5, 2)(output)


@bug("Linear", "net.1", "self.net(x)", [(3, 11, 5)], "returns (output, state)", "self.net[1](self.net[:1](x)[0])")
class lstm_in_a_sequential:
    """Sequential hands the LSTM's tuple on."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = nn.Sequential(nn.LSTM(7, 5, batch_first=True), nn.Linear(5, 2))

            def forward(self, x):
                return self.net(x)

        return Model()(torch.randn(3, 11, 7))

    def mended():
        output, _ = nn.LSTM(7, 5, batch_first=True)(torch.randn(3, 11, 7))
        return nn.Linear(5, 2)(output)


@bug(
    "pack_padded_sequence",
    None,
    "nn.utils.rnn.pack_padded_sequence(x, lengths)",
    [(3, 11, 7)],
    "batch of 11",
    "batch_first=True",
)
class packing_without_batch_first:
    """pack_padded_sequence reads tokens first by itself."""

    def broken():
        x, lengths = torch.randn(3, 11, 7), torch.tensor([11, 7, 2])
        return nn.utils.rnn.pack_padded_sequence(x, lengths)

    def mended():
        x, lengths = torch.randn(3, 11, 7, requires_grad=True), torch.tensor([11, 7, 2])
        return nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True).data


@bug("size", None, "output.size(0)", [(3, 11, 5)], "returns (output, state)", "output[0].size(0)")
class size_of_a_tuple:
    """A tuple has no size."""

    def broken():
        output = nn.GRU(7, 5, batch_first=True)(torch.randn(3, 11, 7))
        return output.size(0)

    def mended():
        output, _ = nn.GRU(7, 5, batch_first=True)(torch.randn(3, 11, 7))
        return output.size(0)


@bug("unpack", None, "output, h, c = lstm(x)", [(3, 11, 5)], "takes 3", "output, (h, c) = lstm(x)")
class three_names_for_an_lstm:
    """The states are a tuple of their own."""

    def broken():
        lstm, x = nn.LSTM(7, 5, batch_first=True), torch.randn(3, 11, 7)
        output, h, c = lstm(x)
        return output, h, c

    def mended():
        lstm, x = nn.LSTM(7, 5, batch_first=True), torch.randn(3, 11, 7)
        output, (h, c) = lstm(x)
        return output.mean() + h.mean() + c.mean()


@bug("cat", None, "torch.cat(all_layers, 0)", [], "names of its fields", None)
class output_taken_apart:
    """The forum question's first error today: unpacking a ModelOutput gives the names of its fields."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.bert = tiny()

            def forward(self, ids, mask):
                _, _, all_layers = self.bert(ids, attention_mask=mask, output_hidden_states=True)
                return torch.cat(all_layers, 0)

        ids = torch.randint(0, 23, (3, 11))
        return Model()(ids, torch.ones_like(ids))

    def mended():
        ids = torch.randint(0, 23, (3, 11))
        all_layers = tiny()(ids, output_hidden_states=True).hidden_states
        return torch.stack(all_layers, 1)


@bug(
    "Linear",
    "fc",
    "self.fc(outputs)",
    [(3, 11, 8), (3, 8)],
    "BaseModelOutputWithPooling",
    "self.fc(outputs.last_hidden_state)",
)
class a_model_output_into_linear:
    """The whole output instead of one of its fields."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.bert = tiny()
                self.fc = nn.Linear(8, 2)

            def forward(self, ids):
                outputs = self.bert(ids)
                return self.fc(outputs)

        return Model()(torch.randint(0, 23, (3, 11)))

    def mended():
        return nn.Linear(8, 2)(tiny()(torch.randint(0, 23, (3, 11))).pooler_output)


@bug("stack", None, "torch.stack(outputs.hidden_states)", [], "output_hidden_states=True", None)
class hidden_states_not_asked_for:
    """hidden_states is None unless it is asked for."""

    def broken():
        bert = tiny()
        outputs = bert(torch.randint(0, 23, (3, 11)))
        return torch.stack(outputs.hidden_states)

    def mended():
        return torch.stack(tiny()(torch.randint(0, 23, (3, 11)), output_hidden_states=True).hidden_states)


@bug("logits", None, "outputs.logits", [], "has no logits", "outputs.last_hidden_state")
class logits_of_the_bare_model:
    """BertModel has no head and so no logits."""

    def broken():
        outputs = tiny()(torch.randint(0, 23, (3, 11)))
        return outputs.logits

    def mended():
        return nn.Linear(8, 2)(tiny()(torch.randint(0, 23, (3, 11))).pooler_output)


@bug(
    "Embedding",
    "bert.embeddings.word_embeddings",
    "self.bert(ids)",
    [(3, 11)],
    ["23 tokens, 0 to 22", "bert.embeddings.word_embeddings"],
    "self.bert.embeddings.word_embeddings = nn.Embedding(41, 8)",
)
class ids_of_another_tokenizer:
    """A tokenizer with a larger vocabulary."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.bert = tiny()

            def forward(self, ids):
                return self.bert(ids).last_hidden_state

        return Model()(torch.full((3, 11), 40))

    def mended():
        return tiny(vocab_size=41)(torch.full((3, 11), 40)).last_hidden_state


@bug("expand", "embeddings", "model(ids)", [(3, 19)], ["17", "19"], "model(ids[:, :17])")
class more_tokens_than_positions:
    """A text longer than the model's positions."""

    def broken():
        model, ids = tiny(), torch.randint(0, 23, (3, 19))
        return model(ids).last_hidden_state

    def mended():
        model, ids = tiny(), torch.randint(0, 23, (3, 19))
        return model(ids[:, :17]).last_hidden_state


@bug(
    "Embedding",
    "embeddings.token_type_embeddings",
    "model(ids, token_type_ids=types)",
    [(3, 11)],
    "2 token types",
    None,
)
class token_types_of_another_kind:
    """A token type of 2."""

    def broken():
        model, ids = tiny(), torch.randint(0, 23, (3, 11))
        types = torch.full((3, 11), 2)
        return model(ids, token_type_ids=types).last_hidden_state

    def mended():
        model, ids = tiny(), torch.randint(0, 23, (3, 11))
        return model(ids, token_type_ids=torch.ones_like(ids)).last_hidden_state


@bug(
    "Linear",
    "head",
    "self.head(states[-1][:, 0])",
    [(3, 8), (2, 13)],
    "13 input features",
    "self.head = nn.Linear(8, 2)",
)
class head_for_another_model:
    """A head of another model's width, on BERT's last hidden states."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.bert = tiny()
                self.head = nn.Linear(13, 2)

            def forward(self, ids):
                states = self.bert(ids, output_hidden_states=True).hidden_states
                return self.head(states[-1][:, 0])

        return Model()(torch.randint(0, 23, (3, 11)))

    def mended():
        states = tiny()(torch.randint(0, 23, (3, 11)), output_hidden_states=True).hidden_states
        return nn.Linear(8, 2)(states[-1][:, 0])


@bug("Model", None, "model(x)", [], "mask was not given", None)
class an_input_forgotten:
    """forward wants two inputs."""

    def broken():
        class Model(nn.Module):
            def forward(self, x, mask):
                return x * mask

        model, x = Model(), torch.randn(3, 7)
        return model(x)

    def mended():
        return torch.randn(3, 7, requires_grad=True) * torch.ones(3, 7)
