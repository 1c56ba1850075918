"""A model compiled once and used again for every stage of the same shape."""

import keras
import numpy as np
import tensorflow as tf

from rl_keras.config import ExperimentConfig, StageConfig
from rl_keras.experiments.transforms import Weights
from rl_keras.models import build_model


def fresh_weights(
    config: ExperimentConfig, input_shape: tuple[int, ...], classes: int, seed: int
) -> Weights:
    """Returns the initial weights of the configured model, by variable path."""
    return read_weights(build_model(config.model, input_shape, classes, seed))


def read_weights(model: keras.Model) -> Weights:
    """Copies all weights of a model to the host, by variable path."""
    return {variable.path: variable.numpy() for variable in model.weights}


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
    """

    def __init__(
        self,
        config: ExperimentConfig,
        stage: StageConfig,
        input_shape: tuple[int, ...],
        classes: int,
        strategy: tf.distribute.Strategy,
    ):
        with strategy.scope():
            self.model = build_model(config.model, input_shape, classes, seed=0)
            optimizer = keras.optimizers.SGD(stage.learning_rate, momentum=stage.momentum)
            optimizer.build(self.model.trainable_variables)
            self.model.compile(
                optimizer=optimizer,
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
                steps_per_execution=stage.steps_per_execution,
            )
        self._strategy = strategy
        # Seeds of dropout and the like: state of the model that is not among its weights.
        weights = {id(variable) for variable in self.model.weights}
        metrics = {id(variable) for variable in self.model.metrics_variables}
        self._others = [v for v in self.model.variables if id(v) not in weights | metrics]
        self._initial_others = [variable.numpy() for variable in self._others]

    def reset(self, weights: Weights) -> None:
        """Assigns these weights and clears the optimiser's state.

        Raises:
            KeyError: if a variable of the model is missing.
        """
        with self._strategy.scope():
            for variable in self.model.weights:
                variable.assign(weights[variable.path])
            for variable in self.model.optimizer.variables:
                if variable is not self.model.optimizer.learning_rate:
                    variable.assign(np.zeros(variable.shape, variable.dtype))
            for variable, value in zip(self._others, self._initial_others, strict=True):
                variable.assign(value)

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
        self.model.fit(dataset, epochs=1, verbose=0, shuffle=False, callbacks=callbacks)
