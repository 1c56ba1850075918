import socket
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from rl_keras.errors import UsageError
from rl_keras.experiments import devices
from rl_keras.experiments.devices import make_strategy
from rl_keras.experiments.training import Trainer, fresh_weights, read_weights
from rl_keras.settings.experiment import from_values
from rl_keras.settings.run import RunConfig

RNG = np.random.default_rng(0)


def mirrored():
    return make_strategy(RunConfig(strategy="mirrored", num_logical_cpus=2))


def test_auto_is_one_device_without_a_gpu():
    assert make_strategy(RunConfig()).num_replicas_in_sync == 1


@pytest.mark.parametrize("steps_per_execution", [1, 4])
@pytest.mark.parametrize("name", ["simple_cnn", "mlp"])
def test_two_replicas_agree_with_one_device_after_fifty_steps(name, steps_per_execution):
    flag = "upstream_steps_per_execution"
    settings = {"model": name, flag: steps_per_execution, "init_scale": 0.5}
    settings |= {"filters": 8, "units": 6} if name == "simple_cnn" else {"widths": (16, 8)}
    config = from_values({**settings, "probe_every": 4, "measure_every": 4})
    generator = np.random.default_rng(0)  # not one for the file: data would depend on its order
    x = generator.normal(size=(64, 6, 6, 2)).astype("float32")
    y = generator.integers(0, 3, 64)
    results = []
    for strategy in (make_strategy(RunConfig()), mirrored()):
        trainer = Trainer(config, config.upstream, (6, 6, 2), 3, strategy)
        trainer.reset(fresh_weights(config, (6, 6, 2), 3, seed=1))
        dataset = tf.data.Dataset.from_tensor_slices((x, y)).repeat().batch(16, True).take(50)
        trainer.fit(dataset, [])
        assert trainer.model.optimizer.iterations.numpy() == 50
        results.append(read_weights(trainer.model))
    for path, value in results[0].items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(results[1][path], value, rtol=0, atol=1e-6 * scale, err_msg=path)


class FakeResolver:
    def __init__(self, calls, master=""):
        self.calls, self.address = calls, master

    def __call__(self, **settings):
        self.calls.append(("resolver", settings))
        return self

    def master(self):
        return self.address


def patched_tpu(calls, master="", **fail):
    """Replaces everything that needs a TPU, noting the calls; a mirrored pair stands in for it."""

    def note(name, result=None):
        def call(*_):
            calls.append((name, None))
            if name in fail:
                raise fail[name]
            return result

        return call

    resolver = FakeResolver(calls, master)
    stack = mock.patch.multiple
    return (
        stack(tf.distribute.cluster_resolver, TPUClusterResolver=resolver),
        stack(tf.config, experimental_connect_to_cluster=note("connect")),
        stack(tf.tpu.experimental, initialize_tpu_system=note("initialize")),
        stack(tf.distribute, TPUStrategy=note("strategy", mirrored())),
    )


def connect(patches, **settings):
    with patches[0], patches[1], patches[2], patches[3]:
        return make_strategy(RunConfig(strategy="tpu", **settings))


def test_a_tpu_is_resolved_connected_initialised_and_used_in_that_order():
    calls = []
    strategy = connect(patched_tpu(calls), tpu="node", tpu_zone="z", tpu_project="p")
    assert [name for name, _ in calls] == ["resolver", "connect", "initialize", "strategy"]
    assert calls[0][1] == {"tpu": "node", "zone": "z", "project": "p"}
    config = from_values({"model": "mlp", "widths": (4,)})
    trainer = Trainer(config, config.upstream, (3,), 2, strategy)
    pairs = RNG.normal(size=(8, 3)).astype("float32"), RNG.integers(0, 2, 8)
    trainer.fit(tf.data.Dataset.from_tensor_slices(pairs).batch(4), [])
    assert trainer.model.optimizer.iterations.numpy() == 2


def test_without_a_name_the_tpu_of_this_machine_is_meant():
    calls = []
    connect(patched_tpu(calls))
    assert calls[0][1] == {"tpu": "local", "zone": None, "project": None}


def test_an_address_that_does_not_answer_is_given_up_in_time(monkeypatch):
    with socket.socket() as unused:  # bound but not listening: nothing answers here
        unused.bind(("127.0.0.1", 0))
        master = f"grpc://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setattr(devices, "REACH_SECONDS", 1.0)
        with pytest.raises(UsageError, match="TPU 'node' does not answer at grpc://127.0.0.1"):
            connect(patched_tpu([], master), tpu="node")


def test_an_address_that_answers_is_used():
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect(patched_tpu(calls, f"grpc://127.0.0.1:{server.getsockname()[1]}"), tpu="node")
    assert calls[-1][0] == "strategy"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("No registered 'ConfigureDistributedTPU' OpKernel"),
            "tensorflow-tpu==2.19.1",
        ),
        (RuntimeError("TPUs not found in the cluster"), "no TPU was found; on a TPU VM"),
        (RuntimeError("Detected at node disconnect_tpu_host/_1"), "no TPU was found; on a TPU VM"),
        (RuntimeError("HTTP Error 403: Forbidden"), "check the permissions of this account"),
        (RuntimeError("HTTP Error 404: Not Found"), "there is no such TPU; check --tpu"),
        (OSError("Name or service not known"), "the TPU cannot be reached; check --tpu"),
    ],
)
def test_failures_say_what_to_check(error, message):
    with pytest.raises(UsageError, match=message):
        connect(patched_tpu([], initialize=error), tpu="node")


def test_a_machine_without_a_tpu_says_so():
    with pytest.raises(UsageError, match="no TPU was found; on a TPU VM install tensorflow-tpu"):
        make_strategy(RunConfig(strategy="tpu"))
