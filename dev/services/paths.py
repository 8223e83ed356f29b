"""Paths of the local servers of one checkout and one profile."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.services.errors import LocalServiceError

CHECKOUT = Path(__file__).resolve().parents[2]
POSTGRES_MAJOR = 18
POSTGRES_PORT = 5432
# sockaddr_un holds 108 bytes on Linux but only 104 on macOS and the BSDs, the closing zero included.
SOCKET_PATH_LIMIT = 104


@dataclass(frozen=True)
class InstancePaths:
    """The folder of one instance: one checkout, one profile."""

    base: Path
    profile: str
    folder: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder; a new major version has a folder of its own."""
        return self.folder / f"postgres-{POSTGRES_MAJOR}"

    @property
    def postgres_log(self) -> Path:
        """The log of PostgreSQL."""
        return self.data / "server.log"

    @property
    def run(self) -> Path:
        """The private folder of both sockets."""
        return self.folder / "run"

    @property
    def postgres_socket(self) -> Path:
        """The socket PostgreSQL listens on; libpq derives this name from the port."""
        return self.run / f".s.PGSQL.{POSTGRES_PORT}"

    @property
    def redis_socket(self) -> Path:
        """The socket Redis listens on."""
        return self.run / "redis.sock"

    @property
    def secrets(self) -> Path:
        """The folder of generated secrets."""
        return self.folder / "secrets"


def instance_paths(environ: Mapping[str, str] = os.environ) -> InstancePaths:
    """Return this checkout's instance under the profile in force; touches nothing on disk."""
    profile = environ.get("CASHBACK_LOCAL_PROFILE") or "dev"
    if not re.fullmatch(r"[a-z0-9-]{1,16}", profile):
        raise LocalServiceError(f"The profile {profile!r} is not a name of a-z, 0-9 and -: set CASHBACK_LOCAL_PROFILE.")
    base = _base(environ)
    checkout = hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:8]
    return InstancePaths(base, profile, base / f"{checkout}-{profile}")


def _base(environ: Mapping[str, str]) -> Path:
    if chosen := environ.get("CASHBACK_STATE"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/cashback")
    # The XDG specification says to ignore a relative path here.
    state = Path(environ.get("XDG_STATE_HOME", ""))
    try:
        return (state if state.is_absolute() else Path.home() / ".local/state") / "cashback"
    except RuntimeError:
        raise LocalServiceError("This user has no home folder: set CASHBACK_STATE to a writable folder.") from None


def prepare_folder(instance: InstancePaths) -> None:
    """Create the instance's own folder, or raise LocalServiceError."""
    if len(os.fsencode(instance.postgres_socket)) >= SOCKET_PATH_LIMIT:
        raise LocalServiceError(f"The path {instance.run} is too long for a socket: set CASHBACK_STATE to a shorter folder.")
    # As root the servers run as nobody, who must be able to pass; what is private below is closed one by one.
    mode = 0o755 if os.geteuid() == 0 else 0o700
    if not instance.base.is_dir():
        make_folder(instance.base, mode)
    make_folder(instance.folder, mode)


def make_folder(folder: Path, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Create `folder` with `mode` for `owner` (user and group id; default: the caller), or raise LocalServiceError."""
    uid, gid = owner or (os.geteuid(), os.getegid())
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            # The umask may have taken bits away from mkdir's mode.
            folder.chmod(mode)
            os.chown(folder, uid, gid)
        held_by = folder.stat().st_uid
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise LocalServiceError(
            f"Cannot use the folder {folder} ({error.strerror}): set CASHBACK_STATE to a writable folder."
        ) from None
    if not writable or held_by not in (uid, os.geteuid()):
        raise LocalServiceError(f"The folder {folder} belongs to someone else: set CASHBACK_STATE to a folder of your own.")
