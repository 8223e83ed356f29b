"""PostgreSQL's time where it is needed often: read once, and followed by the monotonic clock of this process."""

from datetime import datetime, timedelta
from time import monotonic

from kernel.statements import database_time


class DatabaseClock:
    """The time of PostgreSQL, however wrong the clock of this host is. Make a new one every minute or so."""

    def __init__(self) -> None:
        self.read_at, self.started = database_time(), monotonic()

    def now(self) -> datetime:
        """Return the time now."""
        return self.read_at + timedelta(seconds=monotonic() - self.started)
