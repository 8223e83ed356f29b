"""Hosts as network namespaces, joined by a bridge in the namespace of this process.

Everything happens in a network namespace of its own (dev.cluster.launch): no address of the machine is used or reached.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from dev.race import processes

PREFIX = "prove-"
BRIDGE = "lan"
NETWORK = "10.77.0.0/24"
GATEWAY = "10.77.0.1"
ADDRESSES = {"db1": "10.77.0.11", "db2": "10.77.0.12", "db3": "10.77.0.13", "web1": "10.77.0.21", "web2": "10.77.0.22"}
DATABASES = ("db1", "db2", "db3")
WEBS = ("web1", "web2")


def run_ip(*arguments: str, check: bool = True) -> str:
    """Run iproute2's `ip` and return what it printed."""
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True).stdout


def create_network() -> None:
    """Make the bridge and the hosts; those of a run that was killed are removed first."""
    remove_network()
    run_ip("link", "set", "lo", "up")
    run_ip("link", "add", BRIDGE, "type", "bridge")
    run_ip("address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
    run_ip("link", "set", BRIDGE, "up")
    for host, address in ADDRESSES.items():
        namespace = PREFIX + host
        run_ip("netns", "add", namespace)
        run_ip("link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run_ip("link", "set", host, "master", BRIDGE, "up")
        run_ip("-n", namespace, "link", "set", "lo", "up")
        run_ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
        run_ip("-n", namespace, "link", "set", "eth0", "up")


def remove_network() -> None:
    """End the processes of the hosts and remove the hosts."""
    for line in run_ip("netns", "list").splitlines():
        namespace = line.partition(" ")[0]
        if namespace.removeprefix(PREFIX) in ADDRESSES:
            kill_host(namespace.removeprefix(PREFIX))
            run_ip("netns", "delete", namespace)
    run_ip("link", "delete", BRIDGE, check=False)


def host_pids(host: str) -> list[int]:
    """Return the process ids of a host."""
    return [int(pid) for pid in run_ip("netns", "pids", PREFIX + host, check=False).split()]


def program_name(pid: int) -> str:
    """Return the name of a process's program."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def kill_host(host: str) -> None:
    """Kill every process of a host, as a power failure would."""
    pids = host_pids(host)
    memory = set[Path]()
    for pid in pids:
        with contextlib.suppress(OSError):
            memory |= processes.shared_memory(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        processes.wait_for_exit(pid)
    for file in memory:
        file.unlink(missing_ok=True)


def cut_off(host: str) -> None:
    """Pull the host's cable."""
    run_ip("link", "set", host, "down")


def connect_again(host: str) -> None:
    """Plug the host's cable in."""
    run_ip("link", "set", host, "up")


def separate(host: str, others: tuple[str, ...]) -> None:
    """Have a host and the others drop what they would send to each other; the rest of the network still reaches all."""
    for one, other in ((host, other) for other in others):
        run_ip("-n", PREFIX + one, "route", "replace", "blackhole", f"{ADDRESSES[other]}/32")
        run_ip("-n", PREFIX + other, "route", "replace", "blackhole", f"{ADDRESSES[one]}/32")


def join_again(host: str, others: tuple[str, ...]) -> None:
    """Undo `separate`."""
    for one, other in ((host, other) for other in others):
        run_ip("-n", PREFIX + one, "route", "delete", "blackhole", f"{ADDRESSES[other]}/32", check=False)
        run_ip("-n", PREFIX + other, "route", "delete", "blackhole", f"{ADDRESSES[one]}/32", check=False)
