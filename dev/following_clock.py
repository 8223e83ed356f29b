"""Python's time in a sandbox database: `timezone.now` with the offset that `manage.py test_clock` wrote to a file."""

from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from dev.services.paths import instance_paths


def offset_file() -> Path:
    """Return the file that says how far the clock of the configured database is ahead."""
    name = Path(str(settings.DATABASES["default"]["NAME"])).name
    return instance_paths().folder / f"test-clock-{name}"


def write_offset(seconds: int) -> None:
    """Write the file whole, so that no process reads a part of it."""
    file = offset_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(str(seconds))
    fresh.replace(file)


class FollowingClock:
    """Django's clock with the offset in a file, which is read again whenever it was written."""

    def __init__(self, file: Path) -> None:
        self.file, self.real_now = file, timezone.now
        self.offset, self.written = timedelta(0), -1

    def now(self) -> datetime:
        """Return the sandbox's time."""
        written = self.file.stat().st_mtime_ns
        if written != self.written:
            self.offset, self.written = timedelta(seconds=int(self.file.read_text())), written
        return self.real_now() + self.offset


def follow_test_clock() -> None:
    """Let this process follow the test clock, if its database has one."""
    if settings.LOCAL and offset_file().exists() and not isinstance(getattr(timezone.now, "__self__", None), FollowingClock):
        timezone.now = FollowingClock(offset_file()).now
