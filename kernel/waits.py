"""How long to wait before what failed is tried again."""

from datetime import timedelta


def doubled_wait(failures: int, first: timedelta, longest: timedelta) -> timedelta:
    """Return the wait after so many failures (1: the first): `first`, then twice as long each time, at most `longest`."""
    doubled: timedelta = first * 2 ** min(failures - 1, 20)
    return min(doubled, longest)
