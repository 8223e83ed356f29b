"""Information about processes, from /proc (Linux)."""

import time
from collections.abc import Iterator
from pathlib import Path


def process_stat(pid: int) -> list[str]:
    """Return a process's fields from its state on (man 5 proc_pid_stat, field 3); empty when it does not exist."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def child_pids(pid: int) -> list[int]:
    """Return the process ids of a process's living children."""
    return [child for child in all_pids() if (found := process_stat(child)) and found[0] != "Z" and int(found[1]) == pid]


def all_pids() -> Iterator[int]:
    """Yield every process id."""
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def wait_for_exit(pid: int, seconds: float = 20) -> bool:
    """Wait until a process has ended (it may be a zombie); return whether it has."""
    deadline = time.monotonic() + seconds
    while process_stat(pid)[:1] not in ([], ["Z"]):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def memory_bytes(pid: int) -> int:
    """Return the proportional set size of a process in bytes; 0 when it does not exist."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def shared_memory(pid: int) -> set[Path]:
    """Return the files of shared memory that a process has mapped; those of a killed process are not removed."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {Path("/" + line.partition(" /")[2]) for line in lines if " /dev/shm/" in line and not line.endswith("(deleted)")}
