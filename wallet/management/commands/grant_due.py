"""`manage.py grant_due`: grant what rules owe manually."""

from argparse import ArgumentParser
from typing import Any

from wallet.actions.claw_back_refunded import claw_back_refunded
from wallet.actions.grant_dues import grant_due_credits
from wallet.actions.wallet_sweep import BATCH_SIZE
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int
from wallet.programme.models import GrantDue, GrantRule
from wallet.queries.due_credits import MAX_COUNTED, waiting_rules


class Command(BaseCommand):
    """Grants what is due; safe to run at any time, even concurrently with the scheduler."""

    help = (
        "Grant every credit that a rule owes and its pool can give, and claw back pending credits whose payment was refunded."
        " Safe to run repeatedly and concurrently with the scheduler: each is granted once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only show what is due, by rule, and what it waits for")
        parser.add_argument(
            "--batch",
            type=positive_int,
            default=BATCH_SIZE,
            metavar="N",
            help="due credits read at a time per rule; each is granted in a transaction of its own (default: %(default)s)",
        )

    def handle(self, *args: Any, dry_run: bool, batch: int, **options: Any) -> None:
        if dry_run:
            self.show_due()
            return
        if taken_back := claw_back_refunded():
            self.stdout.write(f"{output.count_noun(taken_back, 'credit')} of refunded payments clawed back.")
        due = GrantDue.objects.to_try().filter(rule__in=GrantRule.objects.ready())
        with output.progress_bar(self.stderr, "Granting", due.count()) as advance:
            count = grant_due_credits(advance, batch)
        self.stdout.write(self.style.SUCCESS(f"{output.count_noun(count, 'credit')} granted."))

    def show_due(self) -> None:
        """Write what each rule owes."""
        rows = [
            (waiting.rule.name, waiting.rule.pool.name, format_bounded_count(waiting.count), waiting.reason.label)
            for waiting in waiting_rules()
        ]
        if rows:
            output.write_table(self.stdout, ("Rule", "Pool", "Due", "Waits for"), rows, right=("Due",))
        self.stdout.write("Dry run, nothing changed." if rows else "Nothing is due (dry run).")


def format_bounded_count(count: int) -> str:
    """Return a count, with a plus sign where counting stopped."""
    return f"{count:,}{'+' if count == MAX_COUNTED else ''}"
