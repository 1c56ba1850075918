"""Reads what flows through the layers of any Keras model: inputs, outputs, gradients.

Works on functional, Sequential, nested and subclassed models alike: while the model is
called, the `call` of the wanted layers is wrapped to note its input and output. The model is
left as it was, and training never sees the wrapper.
"""

from collections.abc import Callable, Sequence

import keras

from rl_keras.callbacks.compiling import compiled
from rl_keras.callbacks.layers import name_of_call


def capture(
    model: keras.Model,
    layers: Sequence[keras.Layer],
    reduce: Callable,
) -> Callable:
    """Returns a compiled function from a batch to `reduce(input, output)` of each layer.

    The model runs in inference mode. `reduce` is compiled with it, so only its
    result leaves the device; what it does not use is not computed.

    Args:
        model: a built model.
        layers: layers inside it, each called once in a forward pass.
        reduce: function of two tensors, written in `keras.ops`; a module-level
            function, so that the compiled result can be found again.

    Raises:
        ValueError: when called, if a layer is not reached, or reached twice.
    """

    def read(x):
        notes = {id(layer): [] for layer in layers}
        for layer in layers:
            _wrap_call(layer, notes[id(layer)])
        try:
            model(x, training=False)
        finally:
            for layer in layers:
                object.__delattr__(layer, name_of_call(layer))
        for layer in layers:
            times = len(notes[id(layer)])
            if times != 1:
                raise ValueError(
                    f"layer {layer.name!r} is called {times} times in a forward pass. Expected: 1"
                )
        return [reduce(*notes[id(layer)][0]) for layer in layers]

    return compiled(model, (reduce, *map(id, layers)), read)


def _wrap_call(layer, notes):
    original = getattr(layer, name_of_call(layer))

    def call(inputs, *args, **kwargs):
        outputs = original(inputs, *args, **kwargs)
        notes.append((inputs, outputs))
        return outputs

    # Not setattr: Keras would track it, and the class's own method must come back.
    object.__setattr__(layer, name_of_call(layer), call)


def forward(model: keras.Model) -> Callable:
    """Returns a compiled function from a batch to the model's outputs in inference mode."""
    return compiled(model, "forward", lambda x: model(x, training=False))


def output_gradients(model: keras.Model, layer: keras.Layer) -> Callable:
    """Returns a compiled function from a batch to the gradients at a layer's pre-activations.

    The model runs in inference mode, where examples do not depend on each other; so
    the gradient of a sum over the batch holds that of every example. On TensorFlow only.

    Args:
        model: a built model.
        layer: a Conv2D or Dense layer inside it, called once in a forward pass.

    Returns:
        A function of inputs `(batch, ...)` and weights `(outputs, k)` of k combinations of
        the model's outputs, the identity for the outputs themselves. It returns a float32
        tensor `(positions, k, units)`, for a convolution the positions of all examples.

    Raises:
        NotImplementedError: if Keras runs on another backend.
        ValueError: when called, if the layer is not called exactly once.

    Example:
        >>> read = output_gradients(model, model.get_layer("conv1"))
        >>> read(images, np.eye(10, dtype="float32")).shape  # 2 images, 30x30 positions
        TensorShape([1800, 10, 256])
    """
    if keras.backend.backend() != "tensorflow":
        raise NotImplementedError(
            "gradients at pre-activations are computed with TensorFlow only. "
            f"Received: Keras on {keras.backend.backend()}"
        )
    import tensorflow as tf

    def read(x, weights):
        seen, activation = [], layer.activation
        # Not all variables, which it would watch by itself: no gradient of a weight is wanted.
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:

            def watched(values):
                tape.watch(values)
                seen.append(values)
                return activation(values)

            # Not setattr, which Keras tracks.
            object.__setattr__(layer, "activation", watched)
            try:
                outputs = model(x, training=False)
            finally:
                object.__setattr__(layer, "activation", activation)
            if len(seen) != 1:
                raise ValueError(
                    f"layer {layer.name!r} is called {len(seen)} times in a forward pass. "
                    "Expected: 1"
                )
            outputs = tf.nest.flatten(outputs)[0]
            outputs = tf.cast(tf.reshape(outputs, (tf.shape(outputs)[0], -1)), tf.float32)
            totals = tf.unstack(tf.reduce_sum(outputs @ weights, axis=0), weights.shape[1])
        gradients = [
            tape.gradient(total, seen[0], unconnected_gradients="zero") for total in totals
        ]
        flat = [tf.reshape(tf.cast(g, tf.float32), (-1, g.shape[-1])) for g in gradients]
        return tf.stack(flat, axis=1)

    return compiled(model, ("output_gradients", id(layer)), read)
