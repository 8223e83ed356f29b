"""A real PgBouncer in transaction mode before the tests' PostgreSQL, with its default configuration otherwise."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cashback.database.roles import APP_ROLE
from dev.race import processes
from dev.services import binaries, paths
from dev.services.sockets import is_listening

PORT = 6432
SESSIONS = 4  # with PostgreSQL: fewer than clients, so that they change hands
CONFIGURATION = """
[databases]
* = host={server} port={server_port} user={user}
[pgbouncer]
listen_port = {port}
unix_socket_dir = {folder}
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 500
server_login_retry = 1
{more}
"""


def program() -> str | None:
    """Return the path of the program: of PGBOUNCER, else the machine's own, None if there is none."""
    return os.environ.get("PGBOUNCER") or shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/sbin")


@dataclass(frozen=True)
class PgBouncer:
    """A running PgBouncer; clients of any name are the application's role."""

    folder: Path

    def url(self, database: str) -> str:
        """Return the URL of a database through it."""
        return f"postgresql://{APP_ROLE}@:{PORT}/{database}?host={self.folder}"


@contextmanager
def running_pgbouncer(folder: Path, user: str = APP_ROLE, more: str = "") -> Iterator[PgBouncer]:
    """Run it in an empty folder, which becomes the servers' user's own."""
    paths.make_folder(folder, 0o755, binaries.server_owner())
    settings = {"server": paths.instance_paths().run, "server_port": paths.POSTGRES_PORT, "port": PORT, "folder": folder}
    file = folder / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(**settings, user=user, sessions=SESSIONS, more=more))
    file.chmod(0o644)
    assert binaries.run_as_server_user([program(), "-q", "-d", file]) == 0, (folder / "pgbouncer.log").read_text()
    deadline = time.monotonic() + 10
    while not (is_listening(folder / f".s.PGSQL.{PORT}") and (folder / "pgbouncer.pid").exists()):
        assert time.monotonic() < deadline, "PgBouncer does not start"
        time.sleep(0.02)
    pid = int((folder / "pgbouncer.pid").read_text())
    try:
        yield PgBouncer(folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            processes.wait_for_exit(pid)
