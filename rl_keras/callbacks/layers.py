"""Which layers a model has, and which of them can be measured."""

from collections.abc import Iterator

import keras


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


def nonlinear_layers(model: keras.Model) -> list[str]:
    """Returns the paths of the layers that end in a non-linearity, in order, without the head.

    In a model without any they are all Conv2D and Dense layers but the last.
    """
    *hidden, head = [*alignable_layers(model)] or [None]
    layers = named_layers(model).items()
    bent = [path for path, layer in layers if _is_nonlinear(layer) and path != head]
    return bent or hidden


def _is_nonlinear(layer):
    if isinstance(layer, keras.layers.ReLU):
        return True
    linear = keras.activations.linear
    return getattr(layer, "activation", linear) is not linear
