"""Who holds a lock: which process on which machine, and whether it still lives."""

import json
import os
import socket
import sys
from pathlib import Path

from rl_keras.files import AnyPath


def describe_process(process: int) -> dict:
    """Returns what tells a process from all others, also those with its number before or after."""
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "process": process,
        "started": _started(process),
    }


def read_holder(path: AnyPath) -> dict | None:
    """Returns what stands in a lock, a stand-in for what makes no sense, `None` for no lock."""
    try:
        holder = json.loads(path.read_text())
        return holder if {"host", "machine", "process", "token"} <= set(holder) else _foreign()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return _foreign()


def lives_here(holder: dict) -> bool | None:
    """Says whether a process of this machine lives; `None` for one of another machine."""
    if holder["machine"] != _machine():
        return None
    try:
        os.kill(holder["process"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _started(holder["process"]) == holder["started"]


def announce_waiting(what: str, holder: dict) -> None:
    """Prints what is waited for, and who has it."""
    sys.stdout.write(
        f"{what} is in the hands of process {holder['process']} on {holder['host']}; "
        "waiting for it.\n"
    )
    sys.stdout.flush()


def _machine():
    """Tells machines apart, and containers of one machine with processes of their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started(process):
    """When a process started, so that one that reuses its number is not taken for it."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def _foreign():
    return {"host": "an unknown machine", "machine": "", "process": "unknown", "token": ""}
