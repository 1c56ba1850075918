"""Functions of a model, compiled once and compiled anew when the model is another one."""

import functools
from collections.abc import Callable, Hashable

import keras
import numpy as np

from rl_keras.callbacks.layers import all_layers

_CACHE = "_rl_keras_functions"
# Of what Keras itself notes on a layer, only these say how it computes; a new loss is that of
# another `compile`, after which Keras too compiles anew.
_COUNTS = {"_dtype_policy", "_trainable", "_compile_loss"}
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_DEEPEST = 4  # lists in lists in lists


def compiled(model: keras.Model, key: Hashable, function: Callable) -> Callable:
    """Compiles a function of tensors, once for each model and purpose.

    On TensorFlow only; on other backends the function runs as it is. Whatever Python says of
    a model becomes part of the compiled function: its layers, their numbers, a tensor such as the
    mean of a `Normalization`. So all functions of a model are compiled anew once any of this
    has changed, and after `model.compile`. Values of variables are read at each call.

    Args:
        model: what the function belongs to, and as long as which it is kept.
        key: what is compiled under it must always be the same, but for the model.
        function: of a batch, or of several tensors.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    def call(*arguments):
        state = _State(model)
        # Kept on the model, so that it lives as long; not by setattr, which Keras tracks.
        cache = vars(model).setdefault(_CACHE, {})
        if cache.get("state") != state:
            cache.clear()
            cache["state"] = state
        if key not in cache:
            cache[key] = tf.function(function, autograph=False)
        return cache[key](*arguments)

    return call


@functools.cache
def _bookkeeping() -> frozenset[str]:
    """Attributes that Keras itself sets on every layer and model, and changes as it trains."""
    # With names, for otherwise Keras counts on in the names of later layers.
    names = {*vars(keras.layers.Layer(name="layer")), *vars(keras.Model(name="model"))}
    more = ["optimizer", "_eval_epoch_iterator", "_compile_config", "_compiled_trainable_state"]
    # The graph of a functional model never changes; checkpoints have notes of their own.
    more += ["_nodes", "_nodes_by_depth", "_operations", "_operations_by_depth"]
    more += ["_self_unconditional_dependency_names", "_self_unconditional_checkpoint_dependencies"]
    more += ["_self_name_based_restores", "_self_update_uid"]
    return frozenset({*names, *more, "history", "stop_training", _CACHE} - _COUNTS)


class _State:
    """All that a function of the model takes from Python, to be compared.

    Objects are held, so that none can be gone and another have its address.
    """

    def __init__(self, model):
        self._parts, self._held = [], []
        for layer in all_layers(model):
            self._add(layer, _DEEPEST)
            for name, value in vars(layer).items():
                if name not in _bookkeeping():
                    self._parts.append(name)
                    self._add(value, 0)

    def __eq__(self, other):
        return isinstance(other, _State) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment]

    def _add(self, value, depth):
        if type(value) in _PLAIN:
            # 1, 1.0 and True are equal, and make different constants.
            self._parts.append((type(value), value))
        elif isinstance(value, np.ndarray):
            self._parts.append((value.dtype.str, value.shape, value.tobytes()))
        elif isinstance(value, dict) and depth < _DEEPEST:
            for key, item in value.items():
                self._parts.append(str(key))
                self._add(item, depth + 1)
        elif isinstance(value, list | tuple | set) and depth < _DEEPEST:
            self._parts.append(len(value))
            for item in value:
                self._add(item, depth + 1)
        else:
            self._parts.append(id(value))
            self._held.append(value)
