"""Losses and their targets, and scikit-learn's reports."""

import numpy as np
import torch
import torch.nn.functional as F
from catalogue.bug import bug
from torch import nn


@bug(
    "cross_entropy",
    None,
    "criterion(logits, labels)",
    [(35, 3), (5,)],
    ["35 = 7 x 5", "one target for each row"],
    "logits.view(7, 5, -1).mean(dim=0)",
)
class more_rows_than_labels:
    """The forum question's last error: layers joined into the batch reach the loss."""

    def broken():
        criterion = nn.CrossEntropyLoss()
        logits, labels = torch.randn(35, 3), torch.randint(0, 3, (5,))
        return criterion(logits, labels)

    def mended():
        criterion = nn.CrossEntropyLoss()
        return criterion(torch.randn(5, 3, requires_grad=True), torch.randint(0, 3, (5,)))


@bug(
    "cross_entropy",
    None,
    "F.cross_entropy(logits, tags)",
    [(3, 11, 5), (3, 11)],
    "the classes stand last",
    "F.cross_entropy(logits.transpose(1, 2), tags)",
)
class one_label_a_token:
    """Token classification: the classes belong into dimension 1."""

    def broken():
        logits, tags = torch.randn(3, 11, 5), torch.randint(0, 5, (3, 11))
        return F.cross_entropy(logits, tags)

    def mended():
        logits, tags = torch.randn(3, 11, 5, requires_grad=True), torch.randint(0, 5, (3, 11))
        return F.cross_entropy(logits.flatten(0, 1), tags.flatten())


@bug(
    "cross_entropy",
    None,
    "F.cross_entropy(self.fc(x), labels)",
    [(3, 7), (3,)],
    "scores for 7 classes, 0 to 6",
    "self.fc = nn.Linear(11, 10)",
)
class a_class_too_many:
    """Ten classes in the data, seven in the model."""

    def broken():
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(11, 7)

            def forward(self, x, labels):
                return F.cross_entropy(self.fc(x), labels)

        return Model()(torch.randn(3, 11), torch.tensor([0, 9, 3]))

    def mended():
        return F.cross_entropy(nn.Linear(11, 10)(torch.randn(3, 11)), torch.tensor([0, 9, 3]))


@bug(
    "nll_loss",
    None,
    "F.nll_loss(scores.log_softmax(1), labels)",
    [(3, 5), (3,)],
    "holds 5",
    "F.nll_loss(scores.log_softmax(1), labels - 1)",
)
class classes_counted_from_one:
    """Labels from 1 to 5."""

    def broken():
        scores, labels = torch.randn(3, 5), torch.tensor([1, 5, 2])
        return F.nll_loss(scores.log_softmax(1), labels)

    def mended():
        scores, labels = torch.randn(3, 5, requires_grad=True), torch.tensor([1, 5, 2])
        return F.nll_loss(scores.log_softmax(1), labels - 1)


@bug(
    "cross_entropy", None, "F.cross_entropy(logits, labels)", [(3, 5), (3,)], "class numbers of int64", "labels.long()"
)
class labels_as_floats:
    """Labels read from a table of floats."""

    def broken():
        logits, labels = torch.randn(3, 5), torch.tensor([1.0, 0.0, 4.0])
        return F.cross_entropy(logits, labels)

    def mended():
        logits, labels = torch.randn(3, 5, requires_grad=True), torch.tensor([1.0, 0.0, 4.0])
        return F.cross_entropy(logits, labels.long())


@bug(
    "cross_entropy",
    None,
    "F.cross_entropy(logits, labels)",
    [(3, 5), (3, 1)],
    "one class number for each",
    "labels.squeeze(1)",
)
class labels_in_a_column:
    """Labels (batch, 1)."""

    def broken():
        logits, labels = torch.randn(3, 5), torch.randint(0, 5, (3, 1))
        return F.cross_entropy(logits, labels)

    def mended():
        logits, labels = torch.randn(3, 5, requires_grad=True), torch.randint(0, 5, (3, 1))
        return F.cross_entropy(logits, labels.squeeze(1))


@bug("cross_entropy", None, "loss(logits, labels)", [(3, 5)], "must be floats", "labels.argmax(dim=1)")
class one_hot_whole_numbers:
    """One-hot labels of whole numbers."""

    def broken():
        loss = nn.CrossEntropyLoss()
        logits, labels = torch.randn(3, 5), F.one_hot(torch.tensor([1, 0, 4]), 5)
        return loss(logits, labels)

    def mended():
        logits, labels = torch.randn(3, 5, requires_grad=True), F.one_hot(torch.tensor([1, 0, 4]), 5)
        return F.cross_entropy(logits, labels.argmax(dim=1))


@bug(
    "binary_cross_entropy_with_logits",
    None,
    "F.binary_cross_entropy_with_logits(logits.squeeze(), labels)",
    [(), (1,)],
    "both need one shape",
    "labels.squeeze(0)",
)
class squeezed_batch_of_one:
    """squeeze() on a batch of one takes the batch away too."""

    def broken():
        logits, labels = torch.randn(1, 1), torch.tensor([1.0])
        return F.binary_cross_entropy_with_logits(logits.squeeze(), labels)

    def mended():
        logits, labels = torch.randn(1, 1, requires_grad=True), torch.tensor([1.0])
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), labels)


@bug(
    "binary_cross_entropy_with_logits",
    None,
    "F.binary_cross_entropy_with_logits(logits, labels)",
    [(3, 1), (3,)],
    "both need one shape",
    "logits.squeeze(1)",
)
class one_score_in_a_column:
    """A binary classifier's (batch, 1) against (batch,)."""

    def broken():
        logits, labels = torch.randn(3, 1), torch.tensor([1.0, 0.0, 1.0])
        return F.binary_cross_entropy_with_logits(logits, labels)

    def mended():
        logits, labels = torch.randn(3, 1, requires_grad=True), torch.tensor([1.0, 0.0, 1.0])
        return F.binary_cross_entropy_with_logits(logits.squeeze(1), labels)


@bug(
    "binary_cross_entropy",
    None,
    "nn.BCELoss()(scores, labels)",
    [(3,)],
    "probabilities from 0 to 1",
    "binary_cross_entropy_with_logits",
)
class scores_are_no_probabilities:
    """BCELoss without a sigmoid."""

    def broken():
        scores, labels = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, 1.0])
        return nn.BCELoss()(scores, labels)

    def mended():
        scores, labels = torch.tensor([2.0, -1.0, 0.5], requires_grad=True), torch.tensor([1.0, 0.0, 1.0])
        return nn.BCEWithLogitsLoss()(scores, labels)


@bug(
    "binary_cross_entropy_with_logits",
    None,
    "F.binary_cross_entropy_with_logits(logits, labels)",
    [(3, 5), (3,)],
    "both need one shape",
    "F.cross_entropy(logits, labels)",
)
class class_numbers_for_a_binary_loss:
    """Five classes, and a loss for yes and no."""

    def broken():
        logits, labels = torch.randn(3, 5), torch.tensor([1, 0, 4])
        return F.binary_cross_entropy_with_logits(logits, labels)

    def mended():
        logits, labels = torch.randn(3, 5, requires_grad=True), torch.tensor([1, 0, 4])
        return F.cross_entropy(logits, labels)


@bug("mse_loss", None, "criterion(rebuilt, image)", [(3, 1, 7, 5), (3, 1, 8, 5)], "both need one shape", None)
class rebuilt_image_of_another_size:
    """An autoencoder that loses a row."""

    def broken():
        criterion = nn.MSELoss()
        rebuilt, image = torch.randn(3, 1, 7, 5), torch.randn(3, 1, 8, 5)
        return criterion(rebuilt, image)

    def mended():
        return nn.MSELoss()(torch.randn(3, 1, 8, 5, requires_grad=True), torch.randn(3, 1, 8, 5))


@bug("backward", None, "losses.backward()", [(3,)], "backward begins at one number", "losses.mean().backward()")
class backward_from_many:
    """reduction='none', and backward."""

    def broken():
        weight = torch.randn(3, requires_grad=True)
        losses = weight * 2
        losses.backward()

    def mended():
        weight = torch.randn(3, requires_grad=True)
        return (weight * 2).mean()


@bug("numpy", None, "scores.numpy()", [(3,)], "carries gradients", "scores.detach().numpy()")
class gradients_into_numpy:
    """Predictions into numpy."""

    def broken():
        scores = torch.randn(3, requires_grad=True) * 2
        return scores.numpy()

    def mended():
        scores = torch.randn(3, requires_grad=True) * 2
        return scores.detach().numpy()


@bug(
    "classification_report",
    None,
    "classification_report(truth, predicted, target_names=names)",
    [],
    "found 7 classes",
    "labels=range(10)",
)
class report_of_seven_of_ten_classes:
    """The article's report: ten names, seven classes in the data."""

    def broken():
        from sklearn.metrics import classification_report

        names = [f"class {i}" for i in range(10)]
        truth = predicted = np.arange(7)
        return classification_report(truth, predicted, target_names=names)

    def mended():
        from sklearn.metrics import classification_report

        names = [f"class {i}" for i in range(10)]
        return classification_report(np.arange(7), np.arange(7), target_names=names, labels=range(10), zero_division=0)


@bug(
    "accuracy_score",
    None,
    "accuracy_score(labels, logits)",
    [(5, 3), (5,)],
    "score for each of 3 classes",
    "accuracy_score(labels, logits.argmax(dim=1))",
)
class accuracy_of_scores:
    """Scores where classes belong."""

    def broken():
        from sklearn.metrics import accuracy_score

        labels, logits = torch.tensor([0, 1, 2, 1, 0]), torch.randn(5, 3)
        return accuracy_score(labels, logits)

    def mended():
        from sklearn.metrics import accuracy_score

        labels, logits = torch.tensor([0, 1, 2, 1, 0]), torch.randn(5, 3)
        return accuracy_score(labels, logits.argmax(dim=1))


@bug("f1_score", None, "f1_score(labels, predicted)", [], "for two classes", "average='macro'")
class f1_of_three_classes:
    """f1_score is binary by itself."""

    def broken():
        from sklearn.metrics import f1_score

        labels, predicted = [0, 1, 2, 1], [0, 2, 2, 1]
        return f1_score(labels, predicted)

    def mended():
        from sklearn.metrics import f1_score

        return f1_score([0, 1, 2, 1], [0, 2, 2, 1], average="macro")


@bug("confusion_matrix", None, "confusion_matrix(labels, predicted)", [(5,), (4,)], "has 5", None)
class the_last_batch_forgotten:
    """One prediction is missing."""

    def broken():
        from sklearn.metrics import confusion_matrix

        labels, predicted = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([0, 1, 1, 0])
        return confusion_matrix(labels, predicted)

    def mended():
        from sklearn.metrics import confusion_matrix

        return confusion_matrix(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 1, 0]))
