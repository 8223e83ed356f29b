"""The process that runs a race in its scratch database: tables, users, credits, clients, verdict."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from django.core.management import call_command
from django.db import connection, connections

from dev.race import mutant, race, scratch_database, web_server
from dev.race.fixture import create_fixture
from dev.race.plan import Plan
from dev.race.report import Report, build_report
from dev.race.transport import DirectTransport, Transport
from wallet.actions import seal_ledger
from wallet.verification import claim_log
from wallet.verification.checker import snapshot_connection, verify_everything


def run_race(plan: Plan, folder: Path) -> Report:
    """Run the race and return its report; the log is written to `folder`. Raises Refusal."""
    scratch_database.require_scratch_database()
    make_tables()
    fixture = create_fixture(plan)
    if plan.without_lock:
        mutant.remove_guards()
    # Forks must not share a connection.
    connections.close_all()
    with transport_factory(plan) as client:
        log = race.run_clients(plan, fixture, client, folder, partial(print_progress, "round"))
    claim_log.write_log(folder / "attempts.jsonl", log)
    print_progress("verifying")
    seal_ledger.seal_all()
    with snapshot_connection() as reader:
        return build_report(plan, fixture, log, verify_everything(reader, log, fixture.issued))


def make_tables() -> None:
    """Migrate the scratch database, without the web's statement timeout."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    call_command("migrate", verbosity=0, interactive=False)
    connection.close()


@contextmanager
def transport_factory(plan: Plan) -> Iterator[Callable[[], Transport]]:
    """Yield a function that opens a transport of the plan's kind."""
    if plan.http:
        with web_server.web_server() as serving:
            yield partial(web_server.HttpTransport, serving.port)
    else:
        yield mutant.Unguarded if plan.without_lock else DirectTransport


def print_progress(what: str) -> None:
    """Send a progress message to the process that started this one."""
    print(json.dumps({"now": what}), flush=True)  # noqa: T201
