"""Launch of a cluster run in a network namespace of its own."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dev.chaos.run import run_module
from dev.cluster.needs import NoCluster, find_programs

LOCK = Path("/run/lock/cashback-prove-cluster")


@contextmanager
def only_run() -> Iterator[None]:
    """Hold the machine's lock of cluster runs, whose hosts have fixed names. Raises NoCluster while another run has it."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NoCluster("Another cluster run is at work on this machine.") from None
        yield


def launch_cluster(
    names: Sequence[str], seed: int, on_start: Callable[[str], None] = lambda _: None, keep: Path | None = None
) -> dict[str, Any]:
    """Run the faults and return the result (see RunResult) in JSON types. Raises NoCluster, RaceFailed.

    Arguments:
        keep: a folder to which the hosts' logs are copied.
    """
    programs = find_programs()
    prefix = [programs.paths["unshare"], "--net"]
    with only_run():
        result: dict[str, Any] = {}
        for folder, message in run_module("dev.cluster", str(seed), ",".join(names), prefix=prefix):
            if "now" in message:
                on_start(message["now"])
            else:
                result = message["result"]
            if keep:
                copy_logs(folder, keep)
        return result


def copy_logs(folder: Path, keep: Path) -> None:
    """Copy the hosts' logs."""
    for log in folder.glob("*/*.log"):
        (keep / f"{log.parent.name}-{log.name}").write_bytes(log.read_bytes())
