"""Connects to a Cloud TPU, and names what to check when that fails.

Proven without a TPU as far as that goes: the order of calls, the bounded wait and
every message are tested; that training then runs is not.
"""

import socket
from urllib.parse import urlsplit

import tensorflow as tf

from rl_keras.config import RunConfig
from rl_keras.errors import UsageError

REACH_SECONDS = 20.0  # an address with nothing behind it would hang for minutes
_PORT = 8470  # of a TPU worker, where the address names none


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
        return  # the TPU of this machine
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
