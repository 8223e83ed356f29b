"""Run a command that ends when its starter ends: `python -m dev.services.die_with_parent <starter's pid> <command…>`."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for SIGTERM at the starter's death, then become the command."""
    starter, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        # Kept across exec. Elsewhere a SIGKILLed starter leaves its children to be stopped by hand.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != starter:
        sys.exit("The process that started this one is gone.")
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
