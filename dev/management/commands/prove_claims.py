"""`manage.py prove_claims`: a race for the same credits, followed by a check of every invariant."""

import json
import secrets
import signal
import threading
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import CommandError

from dev.race import scratch_database, web_server
from dev.race.launch import launch_race
from dev.race.plan import Plan, default_plan
from dev.race.report import Report
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int

SHOWN = 5  # violations of each kind


class Command(BaseCommand):
    """Race for the same credits in a scratch database, check every invariant, and print the verdict."""

    help = (
        "Have many users claim the same credits at once in a scratch database on this server (created and dropped; the real"
        " ledger is not touched), then check that each credit has one owner and that ledger, assets and responses agree. The"
        " exit code is 1 on any violation."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--users", type=positive_int, default=200, help="number of users (default: %(default)s)")
        parser.add_argument("--credits", type=positive_int, default=20, help="number of credits (default: %(default)s)")
        parser.add_argument("--http", action="store_true", help="claim through real web workers, with tokens")
        parser.add_argument(
            "--without-lock", action="store_true", help="remove the row lock and its constraints; the run is expected to fail"
        )
        parser.add_argument(
            "--connections",
            type=positive_int,
            help="number of concurrent clients (default: one per user, if the server has room)",
        )
        parser.add_argument("--seed", type=positive_int, help="reuse an earlier seed")
        parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures, violations and the clients' log")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["http"] and options["without_lock"]:
            raise CommandError("Web workers cannot run without the lock: use --without-lock without --http.", returncode=2)
        if options["users"] < 2:
            raise CommandError("At least 2 users are required.", returncode=2)
        if options["json"]:
            refuse_unwritable(options["json"])
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, raise_interrupt)
        plan = self.create_plan(**options)
        with output.progress_bar(self.stderr, "Racing, rounds", plan.rounds) as advance:
            report, log = launch_race(plan, lambda what: advance(what == "round"))
        if options["json"]:
            options["json"].write_text(json.dumps(report.as_json() | {"log": [asdict(attempt) for attempt in log]}))
        self.show_figures(report)
        self.show_verdict(report)

    def create_plan(self, *, users: int, connections: int | None, seed: int | None, http: bool, **options: Any) -> Plan:
        """Print and return the plan, limited to the connections that the server has left."""
        # Over HTTP the web workers hold the connections to the database, and their number is fixed.
        left = scratch_database.connections_left(least=web_server.WORKERS * web_server.THREADS if http else 2)
        wanted = min(connections or users, users)
        clients = wanted if http else min(wanted, left)
        plan = default_plan(
            users,
            options["credits"],
            clients,
            seed or secrets.randbelow(10**9) + 1,
            http=http,
            without_lock=options["without_lock"],
        )
        transport = (
            f"{clients} HTTP clients of {web_server.WORKERS} × {web_server.THREADS} web threads"
            if http
            else f"{clients} database connections"
        )
        available = f" ({left} available)" if clients < wanted else ""
        self.stdout.write(
            f"{users} users claim the same {plan.credits} credits and a pool of {plan.pool} through {transport}{available}."
            f" Seed {plan.seed}."
        )
        return plan

    def show_figures(self, report: Report) -> None:
        """Print the figures."""
        plan = report.plan
        figures = [
            ("credits with exactly one owner", f"{report.winners} of {plan.credits}"),
            ("claims from the pool", f"{report.drained} of {plan.drained}"),
            *((f"refused: {code}", f"{count:,}") for code, count in report.refusals.items()),
            *((f"unknown: {code}", f"{count:,}") for code, count in report.unknown.items()),
            ("responses replayed for the same key", f"{report.replays:,}"),
            ("requests", f"{report.attempts:,} in {report.seconds:.1f} s"),
            ("requests per second, all", f"{report.attempts / report.seconds:,.0f}"),
            ("claims per second, from the pool", f"{report.claims_per_second:,.0f}"),
            ("latency p50 / p95 / p99", f"{report.p50:.1f} / {report.p95:.1f} / {report.p99:.1f} ms"),
            ("seed", plan.seed),
        ]
        output.write_table(self.stdout, ("race", ""), figures, right=("",))

    def show_verdict(self, report: Report) -> None:
        """Print the verdict; raise CommandError when there are violations."""
        if not report.violations:
            self.stdout.write(self.style.SUCCESS("OK: each credit has one owner; no claim is lost, duplicated or invented."))
            if report.plan.without_lock:
                raise CommandError(
                    "The run was expected to fail: without the lock the checker must find duplicates, and it found none."
                )
            return
        for kind in sorted({violation.invariant for violation in report.violations}):
            of_kind = [violation for violation in report.violations if violation.invariant == kind]
            for violation in of_kind[:SHOWN]:
                self.stdout.write(str(violation))
            if len(of_kind) > SHOWN:
                self.stdout.write(f"{kind}: … and {len(of_kind) - SHOWN:,} more")
        violations = output.count_noun(len(report.violations), "violation")
        verdict = "FAILED as expected" if report.plan.without_lock else "FAILED"
        raise CommandError(f"{verdict}: {violations}{' without the lock' if report.plan.without_lock else ''}.")


def refuse_unwritable(path: Path) -> None:
    """Raise CommandError before the race when its result could not be written."""
    try:
        path.open("a").close()
    except OSError as error:
        raise CommandError(f"Cannot write {path} ({error.strerror}): choose another file.", returncode=2) from None


def raise_interrupt(*_: object) -> NoReturn:
    """Make SIGTERM end the race as Ctrl-C does, so that the scratch database is dropped."""
    raise KeyboardInterrupt
