"""A network of the tests' own, and no way out of it."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
import subprocess
import sys
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_MARK = "PUBLISH_TEST_NETWORK"
SHARED = (
    "The tests of engines want a network of their own, and making one takes more rights: scripts/test does it by sudo; "
    "so does `sudo unshare --net sh -c 'ip link set lo up; exec setpriv --reuid=$SUDO_UID --regid=$SUDO_GID "
    "--init-groups .venv/bin/pytest'`."
)


def live_apart() -> None:
    """Move this process, and all that it starts, into a network namespace with loopback alone, if it may.

    Engines and registries of the tests then meet neither the machine's networks nor its firewall, and disturb neither.
    """
    if is_apart():
        return
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
            return
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    os.environ[_MARK] = _namespace()


def is_apart() -> bool:
    """Whether this process lives in such a namespace."""
    return os.environ.get(_MARK) == _namespace()


def _namespace() -> str:
    return str(Path("/proc/self/ns/net").readlink())


def block_network() -> None:
    """Refuse, from now on, each connection and each look-up of a name that leads off this machine."""
    sys.addaudithook(_look)


def _look(event: str, args: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple):
        _check(args[1][0])
    elif event == "socket.getaddrinfo":
        _check(args[0])


def _check(host: object) -> None:
    if isinstance(host, str) and host not in {"", "localhost"} and not _is_loopback(host):
        raise AssertionError(f"a test wanted to reach {host}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
