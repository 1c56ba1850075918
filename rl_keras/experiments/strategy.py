"""On which devices a run trains."""

import faulthandler
import os
import signal
import threading

import tensorflow as tf

from rl_keras.config import RunConfig
from rl_keras.errors import UsageError
from rl_keras.experiments.cluster import MEET_SECONDS, meet, read_cluster
from rl_keras.experiments.quiet import hidden_notices
from rl_keras.experiments.tpu import tpu_strategy


def make_strategy(config: RunConfig) -> tf.distribute.Strategy:
    """Returns the distribution strategy that the settings ask for.

    Must be called before any other TensorFlow operation, since logical devices
    cannot be made afterwards.

    Raises:
        UsageError: if the devices, or the other workers, are not there.
    """
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    if config.strategy == "tpu":
        return tpu_strategy(config)
    if config.strategy == "multi_worker":
        # Before devices are listed, which would start TensorFlow for this process alone.
        return _multi_worker_strategy()
    if config.num_logical_cpus > 1:
        _split_cpu(config.num_logical_cpus)
    gpus = tf.config.list_logical_devices("GPU")
    if config.strategy == "cpu" or (config.strategy == "auto" and not gpus):
        if config.num_logical_cpus > 1:
            raise UsageError(
                "--num_logical_cpus above 1 needs --strategy=mirrored. "
                f"Received: --strategy={config.strategy}"
            )
        return tf.distribute.OneDeviceStrategy("/cpu:0") if gpus else tf.distribute.get_strategy()
    if config.strategy == "auto" and len(gpus) == 1:
        return tf.distribute.get_strategy()
    devices = gpus or tf.config.list_logical_devices("CPU")[: config.num_logical_cpus]
    # Reduction to one device: the default collectives fail with several steps per
    # execution on CPUs, and with a second strategy in the same process.
    reduce = None if gpus else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy([d.name for d in devices], cross_device_ops=reduce)


def _multi_worker_strategy():
    """Meets the other workers, and returns the strategy that spans them."""
    cluster = read_cluster()
    meet(cluster)
    # Should a worker die right now, TensorFlow waits for it and holds the interpreter's lock.
    stderr = os.dup(2)
    faulthandler.dump_traceback_later(MEET_SECONDS, exit=True, file=stderr)
    try:
        with hidden_notices():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            "--strategy=multi_worker cannot start; it must be the first that TensorFlow does in "
            f"this process, at the address {cluster.addresses[cluster.index]}. Received: {reason}"
        ) from None
    finally:
        faulthandler.cancel_dump_traceback_later()
        os.close(stderr)
        if threading.current_thread() is threading.main_thread():
            # TensorFlow has put a handler of its own in its place, which swallows it.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)


def _split_cpu(number):
    cpus = tf.config.list_physical_devices("CPU")
    if len(tf.config.get_logical_device_configuration(cpus[0]) or []) == number:
        return
    configuration = [tf.config.LogicalDeviceConfiguration() for _ in range(number)]
    try:
        tf.config.set_logical_device_configuration(cpus[0], configuration)
    except RuntimeError:
        raise UsageError(
            "--num_logical_cpus must be set before TensorFlow has started in this process. "
            f"Received: {number}"
        ) from None
