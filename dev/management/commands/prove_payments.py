"""`manage.py prove_payments`: many clients spend the same few wallets, followed by a check of every invariant."""

import json
import secrets
import signal
import threading
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from dev.management.commands.prove_claims import SHOWN, raise_interrupt, refuse_unwritable
from dev.payment_race.launch import launch_payment_race
from dev.payment_race.plan import PaymentPlan
from dev.payment_race.report import PaymentReport
from dev.race import scratch_database, web_server
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int
from wallet.verification.checker import Violation


class Command(BaseCommand):
    """Race for the same wallets in a scratch database, check every invariant, and print the verdict."""

    help = (
        "Have many clients pay from the same wallets at once in a scratch database on this server (created and dropped; the"
        " real ledger is not touched), then check that no credit is spent twice and that ledger, wallets and responses agree."
        " The exit code is 1 on any violation."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--clients", type=positive_int, default=50, help="number of clients (default: %(default)s)")
        parser.add_argument(
            "--wallets", type=positive_int, default=4, help="number of wallets that are emptied (default: %(default)s)"
        )
        parser.add_argument("--credits", type=positive_int, default=20, help="credits per wallet (default: %(default)s)")
        parser.add_argument(
            "--orders",
            type=positive_int,
            default=5,
            help="orders of each client with hold, captures, release and refunds (default: %(default)s)",
        )
        parser.add_argument("--http", action="store_true", help="pay through real web workers, with a service key")
        parser.add_argument(
            "--without-lock",
            action="store_true",
            help="remove the wallet's lock and the checks behind it; the run is expected to fail",
        )
        parser.add_argument("--seed", type=positive_int, help="reuse an earlier seed")
        parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures, violations and the clients' log")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["http"] and options["without_lock"]:
            raise CommandError("Web workers cannot run without the lock: use --without-lock without --http.", returncode=2)
        if options["clients"] < 2:
            raise CommandError("At least 2 clients are required.", returncode=2)
        if options["json"]:
            refuse_unwritable(options["json"])
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, raise_interrupt)
        plan = self.create_plan(**options)
        with output.progress_bar(self.stderr, "Paying, rounds", plan.rounds) as advance:
            report, log = launch_payment_race(plan, lambda what: advance(what == "round"))
        if options["json"]:
            options["json"].write_text(json.dumps(report.as_json() | {"log": [asdict(attempt) for attempt in log]}))
        self.show_figures(report)
        self.show_verdict(report)

    def create_plan(self, *, clients: int, seed: int | None, http: bool, **options: Any) -> PaymentPlan:
        """Print and return the plan, limited to the connections that the server has left."""
        # Over HTTP the web workers hold the connections to the database, and their number is fixed.
        left = scratch_database.connections_left(least=web_server.WORKERS * web_server.THREADS if http else 2)
        plan = PaymentPlan(
            wallets=options["wallets"],
            lots=options["credits"],
            connections=clients if http else min(clients, left),
            orders=options["orders"],
            seed=seed or secrets.randbelow(10**9) + 1,
            http=http,
            without_lock=options["without_lock"],
        )
        available = f" ({left} available)" if plan.connections < clients else ""
        over = " over HTTP" if http else ""
        self.stdout.write(
            f"{plan.connections} clients{available} empty {plan.wallets} wallets of {plan.lots} credits at once{over}, then"
            f" make {plan.orders} orders each. Seed {plan.seed}."
        )
        return plan

    def show_figures(self, report: PaymentReport) -> None:
        """Print the figures."""
        plan = report.plan
        figures = [
            ("payments from the emptied wallets", f"{report.paid} of {plan.wallets * plan.payable}"),
            *((f"done: {step}", f"{count:,}") for step, count in report.done.items()),
            *((f"refused: {code}", f"{count:,}") for code, count in report.refusals.items()),
            *((f"unknown: {code}", f"{count:,}") for code, count in report.unknown.items()),
            ("responses to repeated requests", f"{report.replays:,}"),
            ("requests", f"{report.attempts:,} in {report.seconds:.1f} s"),
            ("payments per second, from the emptied wallets", f"{report.payments_per_second:,.0f}"),
            ("latency p50 / p95 / p99", f"{report.p50:.1f} / {report.p95:.1f} / {report.p99:.1f} ms"),
            ("seed", plan.seed),
        ]
        output.write_table(self.stdout, ("race", ""), figures, right=("",))

    def show_verdict(self, report: PaymentReport) -> None:
        """Print the verdict; raise CommandError when there are violations."""
        if not report.violations:
            self.stdout.write(self.style.SUCCESS("OK: no credit is spent twice; no payment is lost, duplicated or invented."))
            if report.plan.without_lock:
                raise CommandError(
                    "The run was expected to fail: without the lock the checker must find overspending, and it found none."
                )
            return
        self.show_violations(report.violations)
        violations = output.count_noun(len(report.violations), "violation")
        verdict = "FAILED as expected" if report.plan.without_lock else "FAILED"
        raise CommandError(f"{verdict}: {violations}{' without the lock' if report.plan.without_lock else ''}.")

    def show_violations(self, violations: Sequence[Violation]) -> None:
        """Print the first violations of each kind."""
        for kind in sorted({violation.invariant for violation in violations}):
            of_kind = [violation for violation in violations if violation.invariant == kind]
            for violation in of_kind[:SHOWN]:
                self.stdout.write(str(violation))
            if len(of_kind) > SHOWN:
                self.stdout.write(f"{kind}: … and {len(of_kind) - SHOWN:,} more")
