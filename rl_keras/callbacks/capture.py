"""Find layers of any Keras model, and read what flows through them.

Works on functional, Sequential, nested and subclassed models alike: while the
model is called, the `call` of the wanted layers is wrapped to note its input and
output. The model is left as it was, and training never sees the wrapper.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import keras
import numpy as np


def named_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Returns every layer inside a model by its path, such as `"backbone/conv1"`.

    Example:
        >>> list(named_layers(keras.Sequential([keras.layers.Dense(2, name="a")])))
        ['a']
    """
    found: dict[str, keras.Layer] = {}
    seen: set[int] = {id(model)}

    def walk(parent, prefix):
        for layer in _children(parent):
            if id(layer) not in seen:
                seen.add(id(layer))
                path = f"{prefix}{layer.name}"
                if path in found:
                    raise ValueError(f"two layers share the path {path!r}; give them names.")
                found[path] = layer
                walk(layer, f"{path}/")

    walk(model, "")
    return found


def _children(layer) -> Iterator[keras.Layer]:
    if isinstance(layer, keras.Model):
        yield from layer.layers
        return
    # A composite layer has no public list of its parts: look at its attributes.
    for value in vars(layer).values():
        items = value if isinstance(value, list | tuple) else [value]
        yield from (item for item in items if isinstance(item, keras.Layer))


def alignable_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Returns the Conv2D and Dense layers of a model in order, by path."""
    return {path: layer for path, layer in named_layers(model).items() if _refusal(layer) is None}


def _refusal(layer) -> str | None:
    """Says why a layer has no filters over patches of its input, or None if it has."""
    kind = type(layer).__name__
    if isinstance(layer, keras.layers.Dense):
        return None
    if isinstance(layer, keras.layers.Conv2DTranspose) or not isinstance(
        layer, keras.layers.Conv2D
    ):
        if "Depthwise" in kind or "Separable" in kind:
            return f"is a {kind}, whose filters see one channel each, not whole patches"
        return f"is a {kind}. Expected a Conv2D or Dense layer"
    if layer.groups != 1:
        return f"has groups={layer.groups}; its filters see only part of each patch"
    if layer.data_format != "channels_last":
        return f"has data_format={layer.data_format!r}. Expected 'channels_last'"
    if tuple(layer.dilation_rate) != (1, 1):
        return f"has dilation_rate={layer.dilation_rate}. Expected (1, 1)"
    return None


def find_layer(model: keras.Model, which: str | int) -> tuple[str, keras.Layer]:
    """Returns the path and the layer that a name, a path or an index stands for.

    Args:
        model: a built model.
        which: a layer's path or name, or an index among its Conv2D and Dense layers.

    Raises:
        ValueError: if no layer matches, several do, the layer has no filters
            over patches (DepthwiseConv2D, grouped or dilated convolutions,
            channels first ...), or it is not built.
    """
    candidates = alignable_layers(model)
    if isinstance(which, int):
        if not -len(candidates) <= which < len(candidates):
            raise ValueError(
                f"no layer {which} to measure in model {model.name!r}. Expected an index among "
                f"its Conv2D and Dense layers: {', '.join(candidates) or 'it has none'}"
            )
        path = list(candidates)[which]
    else:
        path = _match(model, which, candidates)
    layer = candidates[path]
    if not layer.built:
        raise ValueError(f"layer {path!r} is not built. Call the model on a batch first.")
    return path, layer


def _match(model, name, candidates):
    layers = named_layers(model)
    paths = [path for path in layers if path == name] or [
        path for path, layer in layers.items() if layer.name == name
    ]
    if len(paths) != 1:
        problem = "no layer" if not paths else f"{len(paths)} layers"
        raise ValueError(
            f"model {model.name!r} has {problem} named {name!r}. "
            f"Expected one of: {', '.join(candidates) or 'it has no Conv2D or Dense layer'}"
        )
    if paths[0] not in candidates:
        raise ValueError(f"layer {name!r} {_refusal(layers[paths[0]])}.")
    return paths[0]


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
                object.__delattr__(layer, "call")
        for layer in layers:
            times = len(notes[id(layer)])
            if times != 1:
                raise ValueError(
                    f"layer {layer.name!r} is called {times} times in a forward pass. Expected: 1"
                )
        return [reduce(*notes[id(layer)][0]) for layer in layers]

    return compiled(model, (reduce, *map(id, layers)), read)


def _wrap_call(layer, notes):
    original = layer.call

    def call(inputs, *args, **kwargs):
        outputs = original(inputs, *args, **kwargs)
        notes.append((inputs, outputs))
        return outputs

    # Not setattr: Keras would track it, and the class's own method must come back.
    object.__setattr__(layer, "call", call)


def forward(model: keras.Model) -> Callable:
    """Returns a compiled function from a batch to the model's outputs in inference mode."""
    return compiled(model, "forward", lambda x: model(x, training=False))


def compiled(model, key, function):
    """Compiles a function of tensors, once for each model and purpose.

    On TensorFlow only; on other backends the function runs as it is. Stages share
    a model, and tracing again for each would cost more than the measurements.

    Args:
        model: what the function belongs to, and as long as which it is kept.
        key: hashable; what is compiled under it must always be the same.
        function: of a batch, or of several tensors.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    # Kept on the model, so that it lives as long; not by setattr, which Keras tracks.
    cache = vars(model).setdefault("_rl_keras_functions", {})
    if key not in cache:
        cache[key] = tf.function(function, autograph=False)
    return cache[key]


def batches_of_inputs(data, limit: int, batch_size: int = 128) -> Iterator[np.ndarray]:
    """Yields NumPy batches of inputs from an array, a dataset or any iterable of batches.

    Args:
        data: an array `(n, ...)`, or an iterable of batches `x` or `(x, y, ...)`
            such as a `tf.data.Dataset`, which may be infinite.
        limit: number of examples after which to stop.
        batch_size: size into which an array is cut.
    """
    seen = 0
    for batch in _raw_batches(data, batch_size):
        inputs = np.asarray(batch[0] if isinstance(batch, tuple | list) else batch)
        yield inputs[: limit - seen]
        seen += len(inputs)
        if seen >= limit:
            return


def _raw_batches(data, batch_size) -> Iterable:
    if isinstance(data, np.ndarray):
        return (data[i : i + batch_size] for i in range(0, len(data), batch_size))
    return data
