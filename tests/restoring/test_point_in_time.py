"""The backups of deploy/: a base backup and the write-ahead log since, replayed up to a time."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from accounts.models import User
from dev.chaos import test_servers
from dev.chaos.test_servers import TestServers
from dev.cluster.templates import DEPLOY, fill_template
from dev.services import binaries, paths, postgres
from tests.restoring.conftest import Restoring, at_server, login, restored
from tests.restoring.test_restored import claim_and_seal, export, state
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 30
RECEIVED = (
    "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pg_receivewal' AND flush_lsn >= pg_current_wal_lsn()"
)


def ask(server: TestServers, statement: str) -> str:
    """Return what a server answers to a statement of one value."""
    with psycopg.connect(host=str(server.instance.run), user=postgres.ROLE, dbname="postgres") as session:
        (answer,) = session.execute(statement).fetchone() or ("",)
        return str(answer)


def wait_for(server: TestServers, statement: str, answer: str) -> None:
    deadline = time.monotonic() + SECONDS
    while ask(server, statement) != answer:
        assert time.monotonic() < deadline, statement
        time.sleep(0.1)


def base_backup(source: TestServers, folder: Path) -> None:
    """Run the script of deploy/."""
    address = f"host={source.instance.run} port={paths.POSTGRES_PORT} user={postgres.ROLE} dbname=postgres"
    programs = binaries.postgres_wheel() / "bin"
    # The pg_verifybackup of the wheel crashes (18.4); a distribution's does not.
    environ = {"PATH": f"{programs}:{os.defpath}", "BACKUP_SOURCE": address, "VERIFY": "true"}
    done = subprocess.run(
        [str(DEPLOY / "backup/base_backup.sh"), str(folder)], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Kept ")


@contextmanager
def receiving(source: TestServers, folder: Path) -> Iterator[None]:
    """Receive the write-ahead log until the end, and all of it."""
    program = binaries.postgres_wheel() / "bin/pg_receivewal"
    process = subprocess.Popen([str(program), "--synchronous", f"--directory={folder / 'wal'}", *login(source)])
    try:
        yield
        wait_for(source, RECEIVED, "1")
    finally:
        process.terminate()
        process.wait()


def restore_to(restoring: Restoring, folder: Path, moment: str) -> TestServers:
    """Unpack the base backup, as deploy/README.md says, and replay the log up to the moment."""
    new = test_servers.servers_in(restoring.made, "new")
    paths.prepare_folder(new.instance)
    (base,) = (folder / "base").iterdir()
    shutil.copytree(base, new.instance.data)
    values = {"BACKUP_DIRECTORY": folder, "RECOVERY_TIME": moment}
    with (new.instance.data / "postgresql.auto.conf").open("a") as file:
        file.write(fill_template("backup/recovery.conf", values))
    (new.instance.data / "recovery.signal").touch()
    for path in (folder, *folder.rglob("*"), new.instance.data, *new.instance.data.rglob("*")):
        os.chown(path, *binaries.server_owner())
    postgres.start_postgres(new.instance)
    wait_for(new, "SELECT pg_is_in_recovery()", "False")
    return new


def test_a_base_backup_and_its_log_go_back_to_a_time(
    restoring: Restoring, issue: Callable[..., CashbackAsset], alice: User, tmp_path: Path
) -> None:
    first, second, third = issue(), issue(), issue()
    source, folder = restoring.server("source"), restoring.made / "backups"
    restoring.copy_database(restoring.of_tests, source)
    base_backup(source, folder)
    with receiving(source, folder), at_server(source):
        claim_and_seal(first, alice)
        moment = ask(source, "SELECT clock_timestamp()")
        time.sleep(0.1)
        claim_and_seal(second, alice)
        claim_and_seal(third, alice)
        roots = export(tmp_path / "seals.jsonl")

    with at_server(restore_to(restoring, folder, moment)):
        assert list(Entry.objects.values_list("asset", flat=True)) == [first.pk]
        lines, _ = restored("--roots", roots)

    assert state("transaction ids", lines).startswith("transaction ids: the next is ")
    assert state("seals", lines).startswith("seals: seals 2 to 3 are gone, with 2 entries (claims of 200.00 INR).")
