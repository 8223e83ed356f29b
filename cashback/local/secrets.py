"""Random secrets, made once per instance."""

import contextlib
import re
import secrets
from pathlib import Path

from cashback.local import places
from cashback.local.cannot import Cannot

BYTES = 48


def secret(name: str) -> str:
    """Return the secret called `name` (64 URL-safe characters), made on first use and kept in a file only its owner reads."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"{name!r} is not a file name")
    place = places.here()
    file = place.secrets / name
    try:
        return file.read_text() if file.exists() else _make(place, file)
    except OSError as error:
        raise Cannot(f"Cannot keep {file} ({error.strerror}): set {name}, or CASHBACK_STATE to a folder of your own.") from None


def _make(place: places.Place, file: Path) -> str:
    places.prepare(place)
    places.make_folder(place.secrets, 0o700)
    mine = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    mine.touch(0o600, exist_ok=False)
    try:
        mine.write_text(secrets.token_urlsafe(BYTES))
        # A link is made whole or not at all, and by one process only: everybody reads the winner's.
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(mine)
    finally:
        mine.unlink()
    return file.read_text()
