"""On which devices a run trains: CPU, GPUs, several workers, or a Cloud TPU.

Without a TPU the order of calls, the bounded waits and every message are tested. That training then
runs on one is not tested.
"""

import faulthandler
import os
import signal
import socket
import threading
from urllib.parse import urlsplit

import tensorflow as tf

from rl_keras.errors import UsageError
from rl_keras.experiments.start_up import hidden_notices
from rl_keras.experiments.workers import MEET_SECONDS, meet, read_cluster
from rl_keras.settings.run import RunConfig

REACH_SECONDS = 20.0  # without a limit an address that does not answer would hang for minutes
_PORT = 8470  # of a TPU worker, where the address names none


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
        # First of all: listing devices would start TensorFlow for this process alone.
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
    # Gradients are reduced on one device: the default collectives fail with several steps per
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


def tpu_strategy(config: RunConfig) -> tf.distribute.Strategy:
    """Returns the strategy of a TPU: resolver, connection, initialisation, in that order.

    Args:
        config: `tpu` names the TPU; empty means the one of this machine. Zone and
            project are those of the machine if empty.

    Raises:
        UsageError: saying what to check: name, zone, permissions, or the TPU build of
            TensorFlow.
    """
    if config.num_logical_cpus > 1:
        raise UsageError(
            "--num_logical_cpus has no effect with --strategy=tpu; remove it. "
            f"Received: {config.num_logical_cpus}"
        )
    name = config.tpu or "local"
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=name, zone=config.tpu_zone or None, project=config.tpu_project or None
        )
        _check_reachable(resolver.master(), name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except UsageError:
        raise
    except Exception as error:  # gRPC, HTTP, credentials and TensorFlow each raise their own
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise UsageError(f"{_advice(error)} Received: --tpu={config.tpu}, {reason}") from None


def _check_reachable(master, name):
    """Refuses an address that does not answer, before TensorFlow waits for it without bound."""
    if not master.startswith("grpc://"):
        return  # no address: it is the TPU of this machine
    address = urlsplit(master)
    try:
        port = address.port or _PORT
        socket.create_connection((address.hostname, port), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise UsageError(
            f"TPU {name!r} does not answer at {master} within {REACH_SECONDS:.0f} s ({error}); "
            "check that it is running, that this machine is in its network, and --tpu_zone. "
            f"Received: --tpu={name}"
        ) from None


def _advice(error):
    text = str(error)
    # The second is what the TPU build says on a machine without TPU chips.
    if "TPUs not found" in text or "disconnect_tpu_host" in text:
        return (
            "no TPU was found; on a TPU VM install tensorflow-tpu==2.19.1 without the package "
            "tensorflow beside it, elsewhere name a TPU with --tpu."
        )
    if "ConfigureDistributedTPU" in text or "OpKernel" in text:
        return (
            "this TensorFlow cannot drive a TPU; remove the package tensorflow, which must not "
            "stand beside it, and install tensorflow-tpu==2.19.1."
        )
    if "403" in text or "ermission" in text or "credential" in text.lower():
        return (
            "access to the TPU is refused; check the permissions of this account and --tpu_project."
        )
    if "404" in text:
        return "there is no such TPU; check --tpu, --tpu_zone and --tpu_project."
    return "the TPU cannot be reached; check --tpu, --tpu_zone, --tpu_project and the network."
