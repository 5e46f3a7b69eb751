"""Labels and predictions of any kind as arrays, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

IGNORED = -100  # a label that does not count, as in cross entropy


def as_array(values: Any, name: str) -> np.ndarray:
    """A tensor, an array or rows of numbers as an array.

    Raises:
        TypeError: something else, such as names.
    """
    import numpy as np

    if hasattr(values, "detach"):  # a tensor, perhaps on a graphics card, perhaps in half precision
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    try:
        array = np.asarray(values)
    except ValueError:
        array = None
    if array is None or array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers in equally long rows; give the number of each class, not its name.")
    return array


def counted_classes(labels: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predicted classes that count, flat: every place whose label is -100 is left out.

    Raises:
        TypeError: something that is no class number.
        ValueError: other shapes, or nothing that counts.
    """
    labels, predictions = as_array(labels, "labels"), as_array(predictions, "predictions")
    if labels.shape != predictions.shape:
        raise ValueError(
            f"labels have shape {labels.shape} and predictions {predictions.shape}; each label needs one predicted class: "
            "logits.argmax(dim=-1)."
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.dtype.kind == "f" and (values != values.round()).any():
            raise TypeError(f"{name} hold numbers with a fraction; class numbers are whole.")
    counts = labels != IGNORED
    if not counts.any():
        raise ValueError(f"There is nothing to score in {labels.size} labels; at least one must not be {IGNORED}.")
    return labels[counts].astype(int), predictions[counts].astype(int)
