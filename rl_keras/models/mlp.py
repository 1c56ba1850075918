"""Fully connected networks of any widths: Maennel et al., Figure 4 left and Appendix E.1."""

from collections.abc import Sequence

import keras

from rl_keras.models.layers import dense_relu, drop, functional_model, kernel_initializers, logits


def mlp(
    input_shape: tuple[int, ...] = (30,),
    classes: int = 10,
    weights: str | None = None,
    widths: Sequence[int] = (2048, 256),
    batch_normalization: str = "none",
    init_scale: float = 1.0,
    dropout: float = 0.0,
    seed: int = 0,
    name: str = "mlp",
) -> keras.Model:
    """Builds flatten (for images), dense layers with ReLU and a dense head; returns logits.

    Args:
        input_shape: shape of one input, a vector or an image.
        classes: units of the last layer, `head`.
        weights: `None` for a random start, or the path of a weights file.
        widths: units of the hidden layers `dense1`, `dense2` and so on.
        batch_normalization: `"none"`, `"local"` or `"synchronized"`, see
            `layers.normalize_relu`; it stands before each ReLU.
        init_scale: see `ScaledHeNormal`.
        dropout: share of values dropped after each hidden layer, see `layers.drop`.
        seed: root seed; each layer derives its own by name.
        name: name of the model.

    Returns:
        A functional `keras.Model` from inputs to logits `(batch, classes)`.

    Example:
        >>> mlp((3,), classes=2, widths=(5,)).count_params()  # 3 * 5 + 5 + 5 * 2 + 2
        32
    """
    init = kernel_initializers(init_scale, seed)
    inputs = keras.Input(input_shape, name="input")
    x = inputs
    if len(input_shape) > 1:
        x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate(widths, start=1):
        x = dense_relu(x, units, f"dense{number}", init, batch_normalization)
        x = drop(x, dropout, f"dense{number}", seed)
    return functional_model(inputs, logits(x, classes, init), name, weights)
