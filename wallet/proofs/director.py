"""The process that runs a race in its scratch database: tables, people, credits, clients, verdict."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from django.core.management import call_command
from django.db import connection, connections

from wallet import sealing
from wallet.proofs import arena, attempts, mutant, race, scratch, web
from wallet.proofs.plan import Plan
from wallet.proofs.report import Report, report
from wallet.proofs.verify import fresh, verify
from wallet.proofs.ways import Direct, Way


def direct(plan: Plan, folder: Path) -> Report:
    """Run the race and return its report; the log stays in `folder`. Raises Refusal."""
    scratch.insist()
    make_tables()
    place = arena.stock(plan)
    if plan.without_lock:
        mutant.remove_guards()
    # Forks must not share a connection.
    connections.close_all()
    with way(plan) as client:
        log = race.run(plan, place, client, folder, partial(tell, "round"))
    attempts.write(folder / "attempts.jsonl", log)
    tell("verifying")
    sealing.seal_all()
    with fresh() as reader:
        return report(plan, place, log, verify(reader, log, place.issued))


def make_tables() -> None:
    """Migrate the scratch database; it may take longer than the web may wait."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    call_command("migrate", verbosity=0, interactive=False)
    connection.close()


@contextmanager
def way(plan: Plan) -> Iterator[Callable[[], Way]]:
    """Yield what makes a client of the plan's kind."""
    if plan.http:
        with web.server() as serving:
            yield partial(web.OverHttp, serving.port)
    else:
        yield mutant.Unguarded if plan.without_lock else Direct


def tell(what: str) -> None:
    """Say on standard output how far it is, for the process that started this one."""
    print(json.dumps({"now": what}), flush=True)  # noqa: T201
