"""Servers of their own: one whose transaction ids are high, one that is new, and what moves a database between them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from dev.chaos import test_servers
from dev.chaos.postgres_faults import use_socket
from dev.chaos.test_servers import TestServers
from dev.services import binaries, paths, postgres
from dev.services.paths import InstancePaths

SEGMENT_IDS = 1_048_576  # transactions in one file of pg_xact
SEGMENT_BYTES = 256 * 1024
EPOCH = 1 << 32


@dataclass(frozen=True)
class Restoring:
    """Servers in a folder of their own."""

    made: Path

    @property
    def of_tests(self) -> TestServers:
        """The server of the tests, which runs."""
        return TestServers(InstancePaths(self.made, "prove", paths.instance_paths().folder))

    def server(self, name: str) -> TestServers:
        """Start a new PostgreSQL."""
        new = test_servers.servers_in(self.made, name)
        paths.prepare_folder(new.instance)
        postgres.start_postgres(new.instance)
        return new

    def advance(self, server: TestServers, next_id: int) -> None:
        """Have the server go on with this transaction id, as if it had run for years."""
        epoch, number = divmod(next_id, EPOCH)
        segment = server.instance.data / "pg_xact" / f"{number // SEGMENT_IDS:04X}"
        postgres.stop_postgres(server.instance)
        if not segment.exists():
            binaries.run_as_server_user(["truncate", "-s", str(SEGMENT_BYTES), segment])
        assert reset_counter(server, f"--epoch={epoch}", f"--next-transaction-id={number}") == 0
        postgres.start_postgres(server.instance)

    def copy_database(self, source: TestServers, target: TestServers) -> None:
        """Dump Django's database at one server and restore it at the other, as an operator does."""
        name, file = connection.settings_dict["NAME"], self.made / "dump"
        programs = binaries.postgres_wheel() / "bin"
        dump = [programs / "pg_dump", "-Fc", "-f", file, *login(source), name]
        create = [programs / "createdb", *login(target), "-T", "template0", name]
        restore = [programs / "pg_restore", *login(target), "--no-owner", "--no-privileges", "-d", name, file]
        for command in (dump, create, restore):
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), done.stderr


def reset_counter(server: TestServers, *options: str) -> int:
    """Run pg_resetwal on a stopped server as its user, and return its exit status."""
    program = binaries.postgres_home(server.instance) / "bin/pg_resetwal"
    with (server.instance.folder / "reset.log").open("w") as log:
        return binaries.run_as_server_user([program, *options, f"--pgdata={server.instance.data}"], log)


def login(server: TestServers) -> list[str]:
    """Return the options of PostgreSQL's programs that lead to a server."""
    return ["-h", str(server.instance.run), "-p", str(paths.POSTGRES_PORT), "-U", postgres.ROLE]


@pytest.fixture
def restoring(django_db_setup: None) -> Iterator[Restoring]:
    if "DATABASE_URL" in os.environ:
        pytest.skip("only a server of the tests' own is copied")
    with test_servers.servers_folder() as made:
        yield Restoring(made)


@contextmanager
def at_server(server: TestServers) -> Iterator[None]:
    """Have Django use its database at another server."""
    with use_socket(server.instance.run):
        yield


def restored(*arguments: Any) -> tuple[list[str], str]:
    """Run the command; return its lines and the error with which it ended, if any."""
    out = StringIO()
    try:
        call_command("restored", *map(str, arguments), stdout=out)
    except CommandError as error:
        return out.getvalue().splitlines(), str(error)
    finally:
        connections.close_all()
    return out.getvalue().splitlines(), ""
