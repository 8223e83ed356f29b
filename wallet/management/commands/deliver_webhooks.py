"""`manage.py deliver_webhooks`: send webhooks, as the scheduler does."""

from argparse import ArgumentParser
from typing import Any

from wallet.actions.deliver_webhooks import deliver_webhooks
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int


class Command(BaseCommand):
    """Sends events; safe to interrupt and to run beside the scheduler."""

    help = (
        "Send events to the webhooks of services until it is interrupted. The scheduler does this too; run this beside it for"
        " more throughput."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=positive_int, metavar="N", help="how long to send (default: until interrupted)")

    def handle(self, *args: Any, seconds: int | None, **options: Any) -> None:
        self.stdout.write(self.style.SUCCESS(f"{output.count_noun(deliver_webhooks(seconds), 'event')} delivered."))
