"""The keeper's own process: `python -m cashback.local <descriptor of its lock>`, started by keeper.ensure_keeper."""

import sys

from cashback.local.keeper import become_keeper

if __name__ == "__main__":
    become_keeper(int(sys.argv[1]))
