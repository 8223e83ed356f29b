"""Temporary servers for proofs and benchmarks: PostgreSQL and Redis on private sockets, in a folder that is removed."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.race import processes
from dev.services import binaries, paths, postgres, redis, supervisor
from dev.services.paths import InstancePaths
from dev.services.sockets import ask_redis
from kernel.refusals import Refusal

TEMPLATE = "prove_template"


class TestServersFailed(Refusal):
    """The test servers do not start."""

    __test__ = False

    code = "no_test_servers"
    detail = "The temporary PostgreSQL or Redis does not start on this machine."


@contextmanager
def servers_folder() -> Iterator[Path]:
    """Yield a folder that the servers' user can enter; at the end, stop the servers in it and remove it."""
    made = Path(tempfile.mkdtemp(prefix="prove-", dir="/tmp"))  # noqa: S108  (a socket's path must be short)
    try:
        if os.geteuid() == 0:
            made.chmod(0o755)
        yield made
    finally:
        for run_folder in made.glob("*/run"):
            supervisor.stop_servers(InstancePaths(made, "prove", run_folder.parent))
        shutil.rmtree(made, ignore_errors=True)


@dataclass(frozen=True)
class TestServers:
    """PostgreSQL and Redis of one run. Commits reach the disk (fsync), as in production."""

    __test__ = False  # pytest collects classes named Test…

    instance: InstancePaths

    def start(self) -> None:
        """Start both; raise LocalServiceError when PostgreSQL does not start."""
        paths.prepare_folder(self.instance)
        with supervisor.startup_lock(self.instance):
            if not postgres.is_up(self.instance):
                postgres.start_postgres(self.instance)
            if not redis.is_up(self.instance):
                redis.start_redis(self.instance)

    def database_url(self, name: str, role: str = postgres.ROLE) -> str:
        """Return the URL of a database here."""
        return f"postgresql://{role}@:{paths.POSTGRES_PORT}/{name}?host={self.instance.run}"

    def redis_url(self) -> str:
        """Return the URL of Redis here."""
        return f"unix://{self.instance.redis_socket}?db=0"

    def postgres_pid(self) -> int:
        """Return the process id of the running PostgreSQL."""
        pid = postgres.postgres_pid(self.instance)
        if pid is None:
            raise TestServersFailed
        return pid

    def redis_pid(self) -> int:
        """Return the process id of the running Redis."""
        for line in ask_redis(self.instance.redis_socket, "INFO server").splitlines():
            if line.startswith("process_id:"):
                return int(line.partition(":")[2])
        raise TestServersFailed

    def stop_at_once(self) -> None:
        """Stop PostgreSQL as `pg_ctl stop -m immediate` does; the next start recovers from the write-ahead log."""
        pid = self.postgres_pid()
        os.kill(pid, signal.SIGQUIT)
        processes.wait_for_exit(pid)

    def kill(self) -> None:
        """Kill every process of PostgreSQL, as a power failure would."""
        pid = self.postgres_pid()
        memory = processes.shared_memory(pid)
        for process in [pid, *processes.child_pids(pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        processes.wait_for_exit(pid)
        for file in memory:
            file.unlink(missing_ok=True)

    def copy(self, name: str, *options: str) -> "TestServers":
        """Return servers with a copy of this PostgreSQL (pg_basebackup), not started."""
        other = TestServers(InstancePaths(self.instance.base, self.instance.profile, self.instance.base / name))
        paths.prepare_folder(other.instance)
        program = binaries.postgres_home(self.instance) / "bin/pg_basebackup"
        log = other.instance.folder / "basebackup.log"
        paths.make_folder(other.instance.data, 0o700, binaries.server_owner())
        target = ["-h", self.instance.run, "-p", str(paths.POSTGRES_PORT), "-U", postgres.ROLE, "-D", other.instance.data]
        with log.open("w") as output:
            if binaries.run_as_server_user([program, *target, "--checkpoint=fast", "--no-sync", *options], output) != 0:
                raise TestServersFailed(f"{TestServersFailed.detail} pg_basebackup said: {log.read_text().strip()[-300:]}")
        return other

    def configure(self, **settings: str) -> None:
        """Set parameters, effective from the next start of PostgreSQL."""
        with (self.instance.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


def servers_in(made: Path, name: str = "servers") -> TestServers:
    """Return the servers of the folder, not started."""
    return TestServers(InstancePaths(made, "prove", made / name))
