"""Which layers a model has, in which order it calls them, and which can be measured."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import keras
import numpy as np

from rl_keras.callbacks.batches import as_floats, as_tensors, examples, model_inputs

# Activations that are 0, and so is their slope, wherever their input is negative: a unit without
# a positive output gets no gradient and is dead. Others have no such state.
_ZERO_BELOW = (keras.activations.relu, keras.activations.relu6)
_NONLINEAR = (
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
)
_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.UnitNormalization,
)


def named_layers(model: keras.Model) -> dict[str, keras.Layer]:
    """Returns every layer inside a model by its path, such as `"backbone/conv1"`.

    Example:
        >>> list(named_layers(keras.Sequential([keras.layers.Dense(2, name="a")])))
        ['a']
    """
    named: dict[str, keras.Layer] = {}
    seen: set[int] = {id(model)}

    def walk(parent, prefix):
        for layer in _children(parent):
            if id(layer) not in seen:
                seen.add(id(layer))
                path = f"{prefix}{layer.name}"
                if path in named:
                    raise ValueError(f"two layers share the path {path!r}; give them names.")
                named[path] = layer
                walk(layer, f"{path}/")

    walk(model, "")
    return named


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """Returns the model and every layer inside it, whatever their names."""
    layers, seen = [], set()

    def walk(layer):
        if id(layer) not in seen:
            seen.add(id(layer))
            layers.append(layer)
            for child in _children(layer):
                walk(child)

    walk(model)
    return layers


def _children(layer) -> Iterator[keras.Layer]:
    if isinstance(layer, keras.Model):
        yield from layer.layers
        return
    # A composite layer has no public list of its parts: look at its attributes.
    for value in vars(layer).values():
        items = value if isinstance(value, list | tuple) else [value]
        items = value.values() if isinstance(value, dict) else items
        yield from (item for item in items if isinstance(item, keras.Layer))


def alignable_layers(model: keras.Model, sample=None) -> dict[str, keras.Layer]:
    """Returns the Conv2D and Dense layers of a model by path, in the order of their calls.

    Args:
        model: a built model.
        sample: a batch of its inputs, by which the calls of a subclassed model are seen; without
            one its layers come in the order in which they were made.
    """
    layers = _measurable(model)
    if _is_graph(model):
        return layers
    calls = recorded_calls(model, sample)
    if calls is None:
        return layers
    order = [id(call.layer) for call in calls]
    called = {path: layer for path, layer in layers.items() if id(layer) in order}
    return dict(sorted(called.items(), key=lambda item: order.index(id(item[1]))))


def _measurable(model):
    return {path: layer for path, layer in named_layers(model).items() if not _refusal(layer)}


def _is_graph(layer):
    """Is it functional throughout, so that its layers are listed in the order of their calls?"""
    if isinstance(layer, keras.Model):
        is_functional = isinstance(layer, keras.Sequential) or hasattr(layer, "operations")
        return is_functional and all(map(_is_graph, layer.layers))
    return not any(True for _ in _children(layer)) or isinstance(layer, keras.layers.RNN)


def _refusal(layer) -> str | None:
    """Says why a layer has no filters over patches of its input, or None if it has."""
    kind = type(layer).__name__
    if isinstance(layer, keras.layers.Dense):
        return _own_arithmetic(layer, keras.layers.Dense, ("call",))
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
    return _own_arithmetic(layer, keras.layers.Conv2D, ("call", "convolution_op"))


def _own_arithmetic(layer, kind, methods):
    """A subclass may use its kernel otherwise, as weight standardisation does."""
    own = [name for name in methods if getattr(type(layer), name) is not getattr(kind, name)]
    if own:
        return f"is a {type(layer).__name__} with its own `{own[0]}`, whose filters are not known"
    return None


def effective_kernel(layer: keras.Layer) -> np.ndarray:
    """Returns the weights that a Dense or Conv2D layer multiplies with, as floating-point numbers.

    Low-rank updates (LoRA) are added, and a kernel quantised to int8 is scaled back.

    Raises:
        ValueError: for another quantisation.
    """
    mode = getattr(layer, "quantization_mode", None)
    if mode is None or mode == "float8":  # which keeps the kernel itself, and rounds as it runs
        return as_floats(layer.kernel)
    scale = getattr(layer, "kernel_scale", None)
    if mode != "int8" or scale is None:
        raise ValueError(
            f"layer {layer.name!r} is quantised to {mode!r}, whose filters cannot be read. "
            "Expected: no quantisation, or 'int8'"
        )
    kernel = as_floats(layer._kernel) / as_floats(scale)
    if layer.lora_enabled:
        low_rank = as_floats(layer.lora_kernel_a) @ as_floats(layer.lora_kernel_b)
        kernel = kernel + layer.lora_alpha / layer.lora_rank * low_rank
    return kernel


def find_layer(model: keras.Model, which: str | int, sample=None) -> tuple[str, keras.Layer]:
    """Returns the path and the layer that a name, a path or an index stands for.

    Args:
        model: a built model.
        which: a layer's path or name, or an index among its Conv2D and Dense layers, in the order
            of their calls.
        sample: as in `alignable_layers`.

    Raises:
        ValueError: if no layer matches, several do, the layer has no filters
            over patches (DepthwiseConv2D, grouped or dilated convolutions,
            channels first ...), or it is not built.
    """
    if isinstance(which, int):
        candidates = alignable_layers(model, sample)
        if not -len(candidates) <= which < len(candidates):
            raise ValueError(
                f"no layer {which} to measure in model {model.name!r}. Expected an index among "
                f"its Conv2D and Dense layers: {', '.join(candidates) or 'it has none'}"
            )
        path = list(candidates)[which]
    else:
        path = _match(model, which)
    layer = named_layers(model)[path]
    if not layer.built:
        raise ValueError(f"layer {path!r} is not built. Call the model on a batch first.")
    return path, layer


def _match(model, name):
    layers, candidates = named_layers(model), _measurable(model)
    paths = [path for path in layers if path == name] or [
        path for path, layer in layers.items() if layer.name == name
    ]
    if len(paths) != 1:
        problem = "no layer" if not paths else f"{len(paths)} layers"
        raise ValueError(
            f"model {model.name!r} has {problem} named {name!r}. "
            f"Expected one of: {', '.join(candidates) or 'it has no Conv2D or Dense layer'}"
        )
    refusal = _refusal(layers[paths[0]])
    if refusal:
        raise ValueError(f"layer {name!r} {refusal}.")
    return paths[0]


@dataclass(frozen=True)
class Call:
    """One call of a layer in a forward pass: the layer, and the tensors that it took and gave."""

    layer: keras.Layer
    inputs: list
    outputs: list


def recorded_calls(model: keras.Model, sample=None) -> list[Call] | None:
    """Runs the model once and returns the calls of its layers in order; last that of the model.

    Composite layers are left out, their parts stand for them; recurrent layers are not taken
    apart.

    Args:
        model: a built model; it runs in inference mode.
        sample: a batch of its inputs, of which one example is taken; zeros by default.

    Returns:
        None without a sample, if the model does not say of what shape its inputs are.
    """
    sample = _zeros(model) if sample is None else sample
    if sample is None:
        return None
    parts = _parts(model)
    calls: list[Call] = []
    for layer in parts:
        _note_calls(layer, calls)
    try:
        outputs = model(as_tensors(examples(sample, 0, 1)), training=False)
    finally:
        for layer in parts:
            object.__delattr__(layer, name_of_call(layer))
    return [*calls, Call(model, [], keras.tree.flatten(outputs))]


def _parts(model):
    """The layers without layers of their own, and recurrent ones, whose cells are called often."""
    parts, seen = [], set()

    def walk(layer):
        for child in _children(layer):
            if id(child) not in seen:
                seen.add(id(child))
                is_part = isinstance(child, keras.layers.RNN) or not any(
                    True for _ in _children(child)
                )
                if is_part:
                    parts.append(child)
                else:
                    walk(child)

    walk(model)
    return parts


def _note_calls(layer, calls):
    original = getattr(layer, name_of_call(layer))

    def call(*arguments, **keywords):
        outputs = original(*arguments, **keywords)
        inputs = keras.tree.flatten((arguments, keywords))
        calls.append(Call(layer, inputs, keras.tree.flatten(outputs)))
        return outputs

    # Not setattr: Keras would track it, and the class's own method must come back.
    object.__setattr__(layer, name_of_call(layer), call)


def name_of_call(layer: keras.Layer) -> str:
    """Returns the name of the method by which Keras runs a layer; quantised ones have another."""
    return "quantized_call" if getattr(layer, "quantization_mode", None) else "call"


def _zeros(model):
    inputs = model_inputs(model)
    if not inputs or any(None in tensor.shape[1:] for tensor in inputs):
        return None
    # Functional models know how inputs are arranged, in a dict for example.
    arranged = getattr(model, "_inputs_struct", inputs if len(inputs) > 1 else inputs[0])
    return keras.tree.map_structure(
        lambda tensor: np.zeros((1, *tensor.shape[1:]), tensor.dtype), arranged
    )


@dataclass
class Survey:
    """Which layers of a model have units whose activity can be followed.

    Args:
        chosen: paths, in order.
        passed_over: path of each other Conv2D or Dense layer, and why it is not among them.
    """

    chosen: list[str] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)


def nonlinear_layers(model: keras.Model, sample=None) -> list[str]:
    """Returns the paths of the layers that end in a non-linearity, in order, without the head.

    In a model without any they are all Conv2D and Dense layers but the last.

    Args:
        model: a built model.
        sample: as in `alignable_layers`.

    Raises:
        ValueError: if the only non-linearities are functions that the model calls between its
            layers, such as `ops.relu`, where nobody can look.
    """
    return survey(model, sample).chosen


def survey(model: keras.Model, sample=None) -> Survey:
    """Says which layers `nonlinear_layers` takes and which it passes over, and why."""
    layers, weighted = named_layers(model), alignable_layers(model, sample)
    calls = recorded_calls(model, sample)
    if calls is None:
        *hidden, head = [*weighted] or [""]
        bent = [path for path, layer in layers.items() if is_nonlinear(layer) and path != head]
        return Survey(bent or hidden)
    ends = _ends(calls)
    first = {id(call.layer): number for number, call in reversed([*enumerate(calls[:-1])])}
    called = {path: layer for path, layer in layers.items() if id(layer) in first}
    if not _is_graph(model):
        called = dict(sorted(called.items(), key=lambda item: first[id(item[1])]))
    hidden = {path: layer for path, layer in called.items() if id(layer) not in ends}
    bent = [path for path, layer in hidden.items() if is_nonlinear(layer)]
    linear = [path for path in weighted if path in hidden and path not in bent]
    outside = [path for path in linear if _leaves_layers(hidden[path], calls)]
    if not bent and outside:
        raise ValueError(
            f"the output of layer {outside[0]!r} goes to an operation between the layers of model "
            f"{model.name!r}, such as ops.relu, which cannot be measured. Expected: a layer such "
            "as keras.layers.ReLU or Activation, or names in `layers`"
        )
    why = dict.fromkeys(outside, "its output goes to an operation between the layers")
    why |= {path: "it is the output" for path in weighted if id(layers[path]) in ends}
    return Survey(bent or linear, why)


def _ends(calls):
    """Layers at the end: for each output the last with weights, and all without after it."""
    *calls, whole = calls
    made = {id(tensor): call for call in calls for tensor in call.outputs}
    ends, waiting, seen = set(), list(whole.outputs), set()
    has_head = False
    while waiting:
        tensor = waiting.pop()
        call = made.get(id(tensor))
        if call is None or id(call) in seen:
            continue
        seen.add(id(call))
        ends.add(id(call.layer))
        if call.layer.weights and not isinstance(call.layer, _NORMALIZATIONS):
            has_head = True
        else:
            waiting.extend(call.inputs)
    if not has_head:
        # The outputs went through operations between the layers: the last layer with weights.
        weighted = [call.layer for call in calls if _has_weights(call.layer)]
        ends |= {id(layer) for layer in weighted[-1:]}
    return ends


def _has_weights(layer):
    return bool(layer.weights) and not isinstance(layer, _NORMALIZATIONS)


def _leaves_layers(layer, calls):
    """Does an output of the layer, or of normalisations after it, go to none of the layers?"""
    taken: dict[int, list] = {}
    for call in calls[:-1]:
        for tensor in call.inputs:
            taken.setdefault(id(tensor), []).append(call)
    final = {id(tensor) for tensor in calls[-1].outputs}
    waiting = [tensor for call in calls[:-1] if call.layer is layer for tensor in call.outputs]
    while waiting:
        tensor = waiting.pop()
        if id(tensor) not in taken and id(tensor) not in final:
            return True
        for call in taken.get(id(tensor), ()):
            if not _has_weights(call.layer) and not is_nonlinear(call.layer):
                waiting.extend(call.outputs)
    return False


def is_nonlinear(layer: keras.Layer) -> bool:
    """Says whether a layer ends in a non-linearity or is one."""
    if isinstance(layer, _NONLINEAR):
        return True
    linear = keras.activations.linear
    return getattr(layer, "activation", linear) not in (linear, None)


def dies(layer: keras.Layer) -> bool:
    """Says whether a unit of the layer that is never positive is dead, as with ReLU."""
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope
    activation = getattr(layer, "activation", None)
    if isinstance(activation, keras.Layer):
        return dies(activation)
    return activation in _ZERO_BELOW
