"""Gradients of a model's outputs at the pre-activations of its layers, without any loss."""

from collections.abc import Callable

import keras

from rl_keras.callbacks.capture import compiled


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
            outputs = tf.cast(tf.reshape(outputs, (tf.shape(outputs)[0], -1)), tf.float32)
            totals = tf.unstack(tf.reduce_sum(outputs @ weights, axis=0), weights.shape[1])
        gradients = [
            tape.gradient(total, seen[0], unconnected_gradients="zero") for total in totals
        ]
        flat = [tf.reshape(tf.cast(g, tf.float32), (-1, g.shape[-1])) for g in gradients]
        return tf.stack(flat, axis=1)

    return compiled(model, ("output_gradients", id(layer)), read)
