"""The process of the supervisor: `python -m dev.services <descriptor of its lock>`, started by supervisor.ensure_supervisor."""

import sys

from dev.services.supervisor import run_supervisor

if __name__ == "__main__":
    run_supervisor(int(sys.argv[1]))
