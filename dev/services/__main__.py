"""The keeper's own process: `python -m dev.services <descriptor of its lock>`, started by keeper.ensure_keeper."""

import sys

from dev.services.supervisor import run_supervisor

if __name__ == "__main__":
    run_supervisor(int(sys.argv[1]))
