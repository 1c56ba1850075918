"""A model compiled once and used again for every stage of the same shape."""

import keras
import numpy as np
import tensorflow as tf

from rl_keras.models import build_model
from rl_keras.models.losses import make_loss
from rl_keras.seeds import derive_seed
from rl_keras.settings.experiment import ExperimentConfig
from rl_keras.settings.stage import StageConfig

Weights = dict[str, np.ndarray]  # by variable path, such as "conv1/kernel"


def fresh_weights(
    config: ExperimentConfig, input_shape: tuple[int, ...], classes: int, seed: int
) -> Weights:
    """Returns the initial weights of the configured model, by variable path."""
    return read_weights(build_model(config.model, input_shape, classes, seed))


def read_weights(model: keras.Model) -> Weights:
    """Copies all weights of a model to the host, by variable path."""
    return {variable.path: variable.numpy() for variable in model.weights}


def learning_rate(
    stage: StageConfig, num_steps: int, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate of a stage, a number or a schedule over its steps.

    Args:
        stage: the rate and how it falls.
        num_steps: of the whole stage; drops are fractions of it.
        steps_per_epoch: the decay acts after each so many.

    Example:
        >>> learning_rate(StageConfig(learning_rate=0.1), 100, 10)
        0.1
    """
    schedules = keras.optimizers.schedules
    if stage.learning_rate_drops:
        factors = range(len(stage.learning_rate_drops) + 1)
        rates = [stage.learning_rate / stage.learning_rate_drop_factor**k for k in factors]
        # Keras lets a boundary belong to the steps before it.
        ends = [round(drop * num_steps) - 1 for drop in stage.learning_rate_drops]
        return schedules.PiecewiseConstantDecay(ends, rates)
    if stage.learning_rate_decay < 1:
        return schedules.ExponentialDecay(
            stage.learning_rate, steps_per_epoch, stage.learning_rate_decay, staircase=True
        )
    return stage.learning_rate


def make_optimizer(stage: StageConfig, rate) -> keras.optimizers.Optimizer:
    """Returns the optimiser of a stage; its learning rate is a number or a schedule.

    Example:
        >>> make_optimizer(StageConfig(optimizer="adam", momentum=0.8), 0.001).beta_1
        0.8
    """
    settings = {"weight_decay": stage.weight_decay or None}
    if stage.optimizer == "adam":
        return keras.optimizers.Adam(rate, beta_1=stage.momentum, **settings)
    return keras.optimizers.SGD(rate, momentum=stage.momentum, **settings)


class Trainer:
    """Trains one architecture with one optimiser setting, from given weights, many times.

    Building and tracing a model takes longer than a short stage, so the stages of
    an experiment share one. `reset` puts back everything that a fresh model would
    have, and a test holds it to bitwise equal results.

    Args:
        config: the experiment; its model settings are used.
        stage: optimiser settings.
        input_shape: shape of one example.
        classes: units of the head.
        strategy: where the variables live.
        rate: from `learning_rate`; the constant one of `stage` by default.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        stage: StageConfig,
        input_shape: tuple[int, ...],
        classes: int,
        strategy: tf.distribute.Strategy,
        rate=None,
    ):
        rate = stage.learning_rate if rate is None else rate
        with strategy.scope():
            self.model = build_model(config.model, input_shape, classes, seed=0)
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # Outside the scope, see `_MultiWorkerModel`; the variables stay distributed.
            inner = self.model
            self.model = _MultiWorkerModel(inner.inputs, inner.outputs, name=inner.name)
        with strategy.scope():
            optimizer = make_optimizer(stage, rate)
            optimizer.build(self.model.trainable_variables)
            self.model.compile(
                optimizer=optimizer,
                loss=make_loss(stage.loss),
                steps_per_execution=stage.steps_per_execution,
            )
        self._strategy = strategy
        # A constant rate is a variable of the optimiser, which training does not change.
        self._rate_path = getattr(optimizer.learning_rate, "path", None)
        # Seeds of dropout and the like: state of the model that is not among its weights.
        weights = {id(variable) for variable in self.model.weights}
        metrics = {id(variable) for variable in self.model.metrics_variables}
        self._others = [v for v in self.model.variables if id(v) not in weights | metrics]
        self._initial_others = [variable.numpy() for variable in self._others]

    def reset(self, weights: Weights, seed: int = 0) -> None:
        """Assigns these weights and clears the optimiser's state.

        Args:
            weights: by variable path.
            seed: of dropout; each layer derives its own by name, and starts to count.

        Raises:
            KeyError: if a variable of the model is missing.
        """
        with self._strategy.scope():
            for variable in self.model.weights:
                variable.assign(weights[variable.path])
            for variable in self.model.optimizer.variables:
                if variable.path != self._rate_path:
                    variable.assign(np.zeros(variable.shape, variable.dtype))
            for variable, value in zip(self._others, self._initial_others, strict=True):
                variable.assign(value)
            for layer in self.model.layers:
                if isinstance(layer, keras.layers.Dropout):
                    state = layer.seed_generator.state
                    layer_seed = derive_seed(seed, "dropout", layer.name)
                    state.assign(np.array([layer_seed, 0], state.dtype))

    def read_state(self) -> list[np.ndarray]:
        """Returns all that training changes: weights, seed state, optimiser."""
        return [variable.numpy() for variable in self._state()]

    def restore_state(self, values: list[np.ndarray]) -> None:
        """Puts back what `read_state` returned for a trainer of the same settings."""
        with self._strategy.scope():
            for variable, value in zip(self._state(), values, strict=True):
                variable.assign(value)

    def _state(self):
        return [*self.model.weights, *self._others, *self.model.optimizer.variables]

    def fit(self, dataset: tf.data.Dataset, callbacks: list[keras.callbacks.Callback]) -> None:
        """Trains over the whole of a finite dataset of batches, once."""
        # shuffle=False: the order is the data set's own, and Keras warns otherwise.
        settings = {"epochs": 1, "verbose": 0, "shuffle": False, "callbacks": callbacks}
        if not isinstance(self._strategy, tf.distribute.MultiWorkerMirroredStrategy):
            self.model.fit(dataset, **settings)
            return
        # Every worker reads all examples and trains on its part of each batch. Left to
        # itself TensorFlow would share out files, or give each worker whole batches.
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        with self._strategy.scope():
            self.model.fit(dataset.with_options(options), **settings)


class _MultiWorkerModel(keras.Model):
    """Works around two defects of Keras 3.15 under MultiWorkerMirroredStrategy.

    `fit` adds up the tuples of a symbolic call over the workers, which fails; it leaves
    that out for a model that was made outside the strategy's scope. And it takes the
    mean of every metric over axis 0, which scalars have not.
    """

    def compute_metrics(self, *arguments, **keywords):
        metrics = super().compute_metrics(*arguments, **keywords)
        return {name: keras.ops.reshape(value, [1]) for name, value in metrics.items()}
