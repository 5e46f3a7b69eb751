"""Convolutions, poolings and normalisations."""

import torch
import torch.nn.functional as F
from catalogue.bug import bug
from torch import nn


class LayersCNN(nn.Module):
    """The forum question's head: a window over the hidden states of all layers."""

    def __init__(self, layers=7, hidden=11, classes=3, tokens=13):
        super().__init__()
        self.conv = nn.Conv2d(layers, layers, kernel_size=(3, hidden))
        self.pool = nn.MaxPool1d(kernel_size=tokens - 2)
        self.fc = nn.Linear(layers, classes)


def states(batch=5, tokens=13, hidden=11, layers=7):
    return tuple(torch.randn(batch, tokens, hidden) for _ in range(layers))


@bug(
    "conv2d",
    "conv",
    "self.conv(x)",
    [(35, 13, 11)],
    ["35 = 7 hidden states x batch 5, joined by cat(dim=0)", "leading 1 is invented"],
    "self.conv(torch.stack(all_layers, dim=1))",
)
class layers_joined_into_the_batch:
    """All layers of BERT joined along the batch, then a convolution over the layers."""

    def broken():
        class Model(LayersCNN):
            def forward(self, all_layers):
                x = torch.cat(all_layers, 0)
                x = self.conv(x)
                return self.fc(x.amax(dim=(2, 3)))

        return Model()(states())

    def mended():
        class Model(LayersCNN):
            def forward(self, all_layers):
                x = torch.stack(all_layers, dim=1)
                x = self.conv(x)
                return self.fc(x.amax(dim=(2, 3)))

        return Model()(states())


@bug(
    "conv2d",
    "conv",
    "self.conv(torch.stack(all_layers, dim=1))",
    [(5, 7, 13, 11)],
    "padding of conv2d must be a whole number",
    "self.conv = nn.Conv2d(7, 7, (3, 11), padding=1)",
)
class padding_true:
    """padding=True, as in the forum question."""

    def broken():
        class Model(LayersCNN):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(7, 7, kernel_size=(3, 11), padding=True)

            def forward(self, all_layers):
                return self.conv(torch.stack(all_layers, dim=1))

        return Model()(states())

    def mended():
        return nn.Conv2d(7, 7, kernel_size=(3, 11), padding=(1, 0))(torch.stack(states(), dim=1))


@bug("max_pool1d", "pool", "self.pool(x)", [(5, 7, 11, 1)], "4 dimensions", "self.pool(x.squeeze(3))")
class pooling_of_four_dimensions:
    """MaxPool1d after Conv2d: the dimension of 1 is still there."""

    def broken():
        class Model(LayersCNN):
            def forward(self, all_layers):
                x = torch.relu(self.conv(torch.stack(all_layers, dim=1)))
                x = self.pool(x)
                return self.fc(x.flatten(1))

        return Model()(states())

    def mended():
        class Model(LayersCNN):
            def forward(self, all_layers):
                x = torch.relu(self.conv(torch.stack(all_layers, dim=1))).squeeze(3)
                return self.fc(self.pool(x).flatten(1))

        return Model()(states())


@bug("max_pool2d", "pool", "self.pool(x)", [(5, 7, 11, 1)], "only 1 there", "nn.MaxPool2d((2, 1))")
class nothing_left_after_pooling:
    """MaxPool2d(2) on a map that is one wide."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.pool = nn.MaxPool2d(2)

            def forward(self, x):
                return self.pool(x)

        return Model()(torch.randn(5, 7, 11, 1))

    def mended():
        return nn.MaxPool2d((2, 1))(torch.randn(5, 7, 11, 1, requires_grad=True))


@bug("max_pool1d", None, "F.max_pool1d(x, 3)", [(5, 7, 2)], "only 2 there", "F.max_pool1d(x, 2)")
class window_longer_than_the_text:
    """A short text, a long window."""

    def broken():
        x = torch.randn(5, 7, 2)
        return F.max_pool1d(x, 3)

    def mended():
        x = torch.randn(5, 7, 2, requires_grad=True)
        return F.max_pool1d(x, 2)


@bug("conv2d", "conv", "self.conv(x)", [(13, 4, 17, 19)], "32 input channels", "self.conv = nn.Conv2d(4, 32, 3)")
class channels_of_another_number:
    """The batch's size was written where the channels belong."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(32, 32, 3)

            def forward(self, x):
                return self.conv(x)

        return Model()(torch.randn(13, 4, 17, 19))

    def mended():
        return nn.Conv2d(4, 32, 3)(torch.randn(13, 4, 17, 19))


@bug("conv2d", "features.0", "self.features(images)", [(3, 17, 19, 5)], "5 input channels", "permute(0, 3, 1, 2)")
class channels_last:
    """Images as matplotlib and OpenCV keep them: channels last."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.features = nn.Sequential(nn.Conv2d(5, 7, 3), nn.ReLU())

            def forward(self, images):
                return self.features(images)

        return Model()(torch.randn(3, 17, 19, 5))

    def mended():
        return nn.Conv2d(5, 7, 3)(torch.randn(3, 17, 19, 5).permute(0, 3, 1, 2))


@bug("conv2d", None, "conv(image)", [(7, 17, 19)], "1 input channel,", "conv(image.unsqueeze(1))")
class grey_images_without_a_channel:
    """MNIST without its channel: the batch is read as channels."""

    def broken():
        conv = nn.Conv2d(1, 5, 3)
        image = torch.randn(7, 17, 19)
        return conv(image)

    def mended():
        return nn.Conv2d(1, 5, 3)(torch.randn(7, 17, 19).unsqueeze(1))


@bug("conv2d", None, "conv(image)", [(17, 19)], "has 2", "conv(image[None, None])")
class one_grey_image:
    """A single image as a matrix."""

    def broken():
        conv = nn.Conv2d(1, 5, 3)
        image = torch.randn(17, 19)
        return conv(image)

    def mended():
        return nn.Conv2d(1, 5, 3)(torch.randn(17, 19)[None, None])


@bug("conv1d", "conv", "self.conv(embedded)", [(3, 13, 11)], "11 input channels", "self.conv(embedded.transpose(1, 2))")
class text_into_conv1d:
    """Embeddings (batch, tokens, hidden) into Conv1d, which wants the channels in the middle."""

    def broken():
        class TextCNN(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = nn.Embedding(23, 11)
                self.conv = nn.Conv1d(11, 7, 3)

            def forward(self, ids):
                embedded = self.embedding(ids)
                return self.conv(embedded).amax(2)

        return TextCNN()(torch.randint(0, 23, (3, 13)))

    def mended():
        embedded = nn.Embedding(23, 11)(torch.randint(0, 23, (3, 13)))
        return nn.Conv1d(11, 7, 3)(embedded.transpose(1, 2)).amax(2)


@bug(
    "conv1d",
    None,
    "F.conv1d(features, weight)",
    [(3, 13)],
    "1 input channel,",
    "F.conv1d(features.unsqueeze(1), weight)",
)
class a_row_of_features_into_conv1d:
    """Two dimensions into conv1d: the batch is read as channels."""

    def broken():
        features, weight = torch.randn(3, 13), torch.randn(5, 1, 3)
        return F.conv1d(features, weight)

    def mended():
        features, weight = torch.randn(3, 13), torch.randn(5, 1, 3, requires_grad=True)
        return F.conv1d(features.unsqueeze(1), weight)


@bug("conv2d", "block.conv", "self.conv(x)", [(2, 3, 2, 17)], "has only 2", "padding")
class window_larger_than_the_map:
    """After some poolings the map is smaller than the window."""

    def broken():
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(3, 5, 5)

            def forward(self, x):
                return self.conv(x)

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.block = Block()

            def forward(self, x):
                return self.block(F.max_pool2d(x, (5, 1)))

        return Model()(torch.randn(2, 3, 10, 17))

    def mended():
        return nn.Conv2d(3, 5, 5, padding=(2, 0))(F.max_pool2d(torch.randn(2, 3, 10, 17), (5, 1)))


@bug(
    "conv_transpose2d", "up", "self.up(x)", [(2, 7, 5, 3)], "11 input channels", "nn.ConvTranspose2d(7, 3, 2, stride=2)"
)
class upsampling_of_other_channels:
    """A decoder's transposed convolution made for other channels."""

    def broken():
        class Decoder(nn.Module):
            def __init__(self):
                super().__init__()
                self.up = nn.ConvTranspose2d(11, 3, 2, stride=2)

            def forward(self, x):
                return self.up(x)

        return Decoder()(torch.randn(2, 7, 5, 3))

    def mended():
        return nn.ConvTranspose2d(7, 3, 2, stride=2)(torch.randn(2, 7, 5, 3))


@bug("BatchNorm1d", "norm", "self.norm(x)", [(3, 13, 11)], "11 features", "self.norm(x.transpose(1, 2))")
class batch_norm_over_tokens:
    """BatchNorm1d after an embedding: it wants the features in the middle."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm = nn.BatchNorm1d(11)

            def forward(self, x):
                return self.norm(x)

        return Model()(torch.randn(3, 13, 11))

    def mended():
        return nn.BatchNorm1d(11)(torch.randn(3, 13, 11).transpose(1, 2))


@bug("BatchNorm1d", "norm", "self.norm(x)", [(3, 7, 5, 5)], "4 dimensions", "nn.BatchNorm2d(7)")
class batch_norm_of_the_wrong_kind:
    """BatchNorm1d after Conv2d."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm = nn.BatchNorm1d(7)

            def forward(self, x):
                return self.norm(x)

        return Model()(torch.randn(3, 7, 5, 5))

    def mended():
        return nn.BatchNorm2d(7)(torch.randn(3, 7, 5, 5))


@bug("BatchNorm1d", "1", "model(x)", [(1, 7)], "batch of one", ".eval()")
class batch_norm_on_a_batch_of_one:
    """The last batch has one example."""

    def broken():
        model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7))
        x = torch.randn(1, 5)
        return model(x)

    def mended():
        model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7)).eval()
        return model(torch.randn(1, 5))


@bug(
    "LayerNorm",
    "norm",
    "self.norm(x)",
    [(3, 11, 13)],
    "normalises over the last dimension",
    "self.norm(x.transpose(1, 2))",
)
class layer_norm_over_channels:
    """LayerNorm after Conv1d: it normalises the last dimension."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm = nn.LayerNorm(11)

            def forward(self, x):
                return self.norm(x)

        return Model()(torch.randn(3, 11, 13))

    def mended():
        return nn.LayerNorm(11)(torch.randn(3, 11, 13).transpose(1, 2))


@bug(
    "interpolate",
    None,
    'F.interpolate(image, size=(4, 4), mode="bilinear")',
    [(3, 8, 8)],
    "resizes 2 dimensions",
    "image.unsqueeze(0)",
)
class resizing_without_a_batch:
    """interpolate wants batch and channels in front."""

    def broken():
        image = torch.randn(3, 8, 8)
        return F.interpolate(image, size=(4, 4), mode="bilinear")

    def mended():
        image = torch.randn(3, 8, 8, requires_grad=True)
        return F.interpolate(image.unsqueeze(0), size=(4, 4), mode="bilinear")


@bug("conv1d", "convs.1", "conv(x)", [(3, 7, 2)], "reaches over 3", "padding")
class windows_over_a_short_text:
    """TextCNN's windows in a ModuleList; one text is shorter than the window."""

    def broken():
        class TextCNN(nn.Module):
            def __init__(self):
                super().__init__()
                self.convs = nn.ModuleList([nn.Conv1d(7, 5, k) for k in (2, 3, 4)])

            def forward(self, x):
                return torch.cat([conv(x).amax(2) for conv in self.convs], dim=1)

        return TextCNN()(torch.randn(3, 7, 2))

    def mended():
        convs = nn.ModuleList([nn.Conv1d(7, 5, k, padding=k - 1) for k in (2, 3, 4)])
        x = torch.randn(3, 7, 2)
        return torch.cat([conv(x).amax(2) for conv in convs], dim=1)
