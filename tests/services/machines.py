"""Bare machines: each a state folder of its own with real servers."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg

from dev.services import paths, postgres, redis, supervisor
from dev.services.paths import CHECKOUT, InstancePaths

OURS = ("CASHBACK_", "DATABASE_URL", "REDIS_URL", "PG", "STATEMENT_TIMEOUT_MS")
TIMEOUT_SECONDS = 20.0
Eventually = Callable[[Callable[[], object]], bool]


class Machine:
    """One state folder, and the processes that use it."""

    def __init__(self, state: Path, **environ: str) -> None:
        self.state = state
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        path = os.pathsep.join(filter(None, (str(CHECKOUT), inherited.get("PYTHONPATH"))))
        own = {"CASHBACK_STATE": str(state), "CASHBACK_LOCAL_PROFILE": "test", "CASHBACK_LOCAL_LINGER": "0.2"}
        self.environ: Mapping[str, str] = inherited | own | {"PYTHONPATH": path} | environ
        self.instance: InstancePaths = paths.instance_paths(self.environ)

    def start(self, code: str, **options: object) -> subprocess.Popen[str]:
        """Start a Python process that runs `code` with `dev.services` imported; closing its input ends it."""
        command = [sys.executable, "-c", f"from dev import services\n{code}"]
        pipes: dict[str, object] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=self.environ, text=True, **(pipes | options))  # type: ignore[call-overload,no-any-return]

    def python(self, code: str) -> str:
        """Run `code` to its end and return what it printed; its failure is the test's."""
        child = self.start(code)
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        return out.strip()

    def refusal(self, code: str) -> str:
        """Run `code`, which must be refused, and return the refusal's text."""
        return self.python(
            f"try:\n  {code}\nexcept services.LocalServiceError as error:\n  print(error)\n"
            "else:\n  raise SystemExit('not refused')"
        )

    def user(self) -> subprocess.Popen[str]:
        """Start a process that stays attached until its input ends or it is killed; return once it is."""
        child = self.start("services.acquire_lease(); print('attached', flush=True); input()")
        assert child.stdout is not None
        assert child.stdout.readline() == "attached\n", child.communicate()[1]
        return child

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement on the product's database and return its rows."""
        with psycopg.connect(host=str(self.instance.run), dbname="cashback", user="cashback", autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def pids(self) -> tuple[int, int]:
        """Return the process ids of PostgreSQL and Redis, which must be up."""
        first, second = self.python("print(*(server.pid for server in services.services_status().servers))").split()
        return int(first), int(second)

    def is_quiet(self) -> bool:
        """Tell whether neither server takes connections."""
        return not postgres.is_up(self.instance) and not redis.is_up(self.instance)

    def clear(self) -> None:
        """Stop the servers and remove the folder."""
        self.clear_servers()
        shutil.rmtree(self.state, ignore_errors=True)

    def clear_servers(self) -> None:
        """Stop the servers."""
        if self.instance.folder.is_dir():
            supervisor.stop_servers(self.instance)


def eventually(condition: Callable[[], object]) -> bool:
    """Wait for `condition`; return False when it does not come true in time."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def linger() -> None:
    """Wait well beyond the time after which unused servers are stopped."""
    time.sleep(0.8)


@contextlib.contextmanager
def bare_machine() -> Iterator[Machine]:
    """A machine with a short state folder that anybody may pass through, as /var/lib is; cleared whatever happens."""
    state = Path(tempfile.mkdtemp(prefix="cb-", dir="/tmp"))
    state.chmod(0o755)
    machine = Machine(state)
    try:
        yield machine
    finally:
        machine.clear()
