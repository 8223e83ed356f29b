"""Random secrets, made once per instance."""

import os
import re
import secrets

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
        return file.read_text()
    except FileNotFoundError:
        places.prepare(place)
        places.make_folder(place.secrets, 0o700)
    except OSError as error:
        raise Cannot(f"Cannot read {file} ({error.strerror}): set {name}, or CASHBACK_STATE to a folder of your own.") from None
    mine = place.secrets / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
    with open(os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(secrets.token_urlsafe(BYTES))
    try:
        # A link is made whole or not at all, and by one process only: everybody reads the winner's.
        os.link(mine, file)
    except FileExistsError:
        pass
    finally:
        mine.unlink()
    return file.read_text()
