"""Random secrets, created once per instance."""

import contextlib
import os
import re
import secrets
from pathlib import Path

from dev.services import paths
from dev.services.errors import LocalServiceError

BYTES = 48
FORM = re.compile(rb"[A-Za-z0-9_-]{64}")


def local_secret(name: str) -> str:
    """Return the secret `name` (64 URL-safe characters), created on first use in a file that only its owner can read.

    Raises LocalServiceError when the file cannot be written or does not hold a secret. A new secret would silently invalidate
    everything signed with the old one.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"{name!r} is not a file name")
    instance = paths.instance_paths()
    file = instance.secrets / name
    try:
        found = file.read_bytes() if file.exists() else _make(instance, file)
    except OSError as error:
        raise LocalServiceError(
            f"Cannot keep {file} ({error.strerror}): set {name}, or CASHBACK_STATE to a folder of your own."
        ) from None
    if not FORM.fullmatch(found):
        raise LocalServiceError(
            f"The secret in {file} is damaged: put its copy back or set {name}, or delete the file and a new one is made "
            "(what was signed with the old one is not trusted then)."
        )
    return found.decode()


def _make(instance: paths.InstancePaths, file: Path) -> bytes:
    paths.prepare_folder(instance)
    paths.make_folder(instance.secrets, 0o700)
    mine = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    mine.touch(0o600, exist_ok=False)
    try:
        mine.write_text(secrets.token_urlsafe(BYTES))
        # Synced before it has its name: otherwise a power failure could leave an empty file for a secret in use.
        _sync(mine)
        # A hard link is created atomically, by one process only; the others read its file.
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(mine)
        _sync(file.parent)
    finally:
        mine.unlink()
    return file.read_bytes()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
