"""What a TPU demands of the train step of every builder, checked without a TPU."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from rl_keras.models import BUILDERS, build_model
from rl_keras.settings.model import ModelConfig

RNG = np.random.default_rng(0)
SHAPE, CLASSES, BATCH = (8, 8, 3), 3, 4

# A network of every builder that traces and compiles in seconds.
TINY = {
    "simple_cnn": {"filters": 4, "units": 3},
    "mlp": {"widths": (4,)},
    "cnn3": {"conv_filters": (2, 3, 4), "padding": "same", "dense_units": (3,)},
    "vgg16": {"width": 1 / 32, "dense_units": (3,)},
    "resnet18": {"width": 1 / 32},
    "wide_resnet": {"depth": 10, "widen": 1, "stem_filters": 2},
    "small_inception": {"width": 1 / 32},
    "small_alexnet": {"width": 1 / 32},
    "linear": {"random_filters": 4},
}

# Ops that a TPU has not, and ops whose output has as many rows as the data happen to give.
FORBIDDEN = re.compile(
    r"(?i)string|regex|hash|lookup|py_?func|print|summary|readfile|writefile"
    r"|^(Where|Unique\w*|DynamicPartition|ListDiff|NonMaxSuppression\w*|BooleanMask)$"
)
FORBIDDEN_TYPES = {tf.string, tf.float64, tf.complex64, tf.complex128}


def tpu_problems(graph_def):
    """Lists what a TPU would refuse in a graph and in the functions that it calls."""
    functions = [node for function in graph_def.library.function for node in function.node_def]
    problems = set()
    for node in [*graph_def.node, *functions]:
        if FORBIDDEN.search(node.op):
            problems.add(f"{node.op}: forbidden op")
        types = {tf.as_dtype(t.type) for t in node.attr.values() if t.HasField("type")}
        problems |= {f"{node.op}: {t.name}" for t in types & FORBIDDEN_TYPES}
        for shape in node.attr["_output_shapes"].list.shape:
            if shape.unknown_rank or any(dim.size < 0 for dim in shape.dim):
                problems.add(f"{node.op}: dynamic shape")
    return sorted(problems)


def compiled(model, **settings):
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        **settings,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def tiny(name, **settings):
    config = ModelConfig(model=name, **TINY[name], **settings)
    return build_model(config, SHAPE, CLASSES, seed=0)


def train_step_graph(model):
    """Traces a whole train step on a batch of static shape."""
    batch = tf.TensorSpec((BATCH, *SHAPE)), tf.TensorSpec((BATCH,), tf.int64)
    step = tf.function(lambda x, y: model.train_step((x, y)), autograph=False)
    return step.get_concrete_function(*batch).graph.as_graph_def(add_shapes=True)


def test_every_model_has_a_tiny_version():
    assert set(TINY) == set(BUILDERS), "add the settings of a tiny version of each model to TINY"


# It takes XLA up to a quarter of a minute on a CPU to compile as many layers.
LONG = ["small_inception", "resnet18", "wide_resnet", "vgg16"]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in BUILDERS]
)
def test_the_whole_train_step_compiles_under_xla(name):
    # A TPU runs nothing else. On a CPU it is slow and serves as a lint only.
    model = compiled(tiny(name), jit_compile=True)
    x, y = RNG.normal(size=(2 * BATCH, *SHAPE)).astype("float32"), RNG.integers(0, 3, 2 * BATCH)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH, True)
    model.fit(dataset, shuffle=False, verbose=0)
    assert model.optimizer.iterations.numpy() == 2


@pytest.mark.parametrize("name", BUILDERS)
def test_the_train_step_has_only_ops_and_shapes_that_a_tpu_takes(name):
    graph = train_step_graph(compiled(tiny(name)))
    assert {"MatMul", "AssignVariableOp"} <= {node.op for node in graph.node}
    assert tpu_problems(graph) == []


@pytest.mark.parametrize("kind", ["local", "synchronized"])
def test_normalisation_where_it_is_an_option_is_fit_for_a_tpu(kind):
    graph = train_step_graph(compiled(tiny("cnn3", batch_normalization=kind)))
    assert "Rsqrt" in {node.op for node in graph.node}
    assert tpu_problems(graph) == []


def through_text(x):
    return tf.strings.to_number(tf.strings.as_string(x))


def through_python(x):
    return tf.ensure_shape(tf.py_function(lambda value: value, [x], tf.float32), x.shape)


def printed(x):
    tf.print("mean", tf.reduce_mean(x))
    return x


def looked_up(x):
    keys, values = tf.range(2, dtype=tf.int64), tf.constant([0.5, 1.5])
    entries = tf.lookup.KeyValueTensorInitializer(keys, values)
    table = tf.lookup.StaticHashTable(entries, default_value=1.0)
    return x * table.lookup(tf.cast(x > 0, tf.int64))


def only_positive(x):
    return tf.ensure_shape(tf.reduce_sum(x[x > 0]) + x, x.shape)


def in_double(x):
    return tf.cast(tf.cast(x, tf.float64), tf.float32)


class Wrapped(keras.layers.Layer):
    """Applies a function inside a `tf.function`, which puts it into the graph's library."""

    def __init__(self, function):
        super().__init__()
        self.function = tf.function(function, autograph=False)

    def call(self, x):
        return self.function(x)

    def compute_output_shape(self, shape):
        return shape

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (through_text, "AsString: forbidden op"),
        (through_python, "EagerPyFunc: forbidden op"),
        (printed, "PrintV2: forbidden op"),
        (looked_up, "LookupTableFindV2: forbidden op"),
        (only_positive, "Where: forbidden op"),
        (only_positive, "GatherV2: dynamic shape"),
        (in_double, "Cast: float64"),
    ],
)
def test_what_a_tpu_does_not_take_would_be_found(function, problem):
    layers = [keras.Input(SHAPE), keras.layers.Flatten(), Wrapped(function)]
    model = keras.Sequential([*layers, keras.layers.Dense(CLASSES)])
    graph = train_step_graph(compiled(model))
    assert graph.library.function  # the op hides in a nested function
    assert problem in tpu_problems(graph)
