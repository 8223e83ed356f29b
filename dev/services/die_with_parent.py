"""A command that ends with its parent: `python -m dev.services.die_with_parent <parent's pid> <command…>`."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Have the kernel send SIGTERM when the parent ends, then execute the command."""
    starter, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        # Kept across exec. On other systems the children of a killed parent must be stopped manually.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != starter:
        sys.exit("The parent process has already ended.")
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
