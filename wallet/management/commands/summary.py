"""`manage.py summary`: issued credits by status."""

from typing import Any

from wallet.management import output
from wallet.management.base_command import BaseCommand
from wallet.queries import reports

STATES = ("issued", "scheduled", "available", "claimed", "expired", "deleted")


class Command(BaseCommand):
    """Writes count and value by status, per currency and pool."""

    help = (
        "Show the number and value of issued credits by status, per currency and pool. What customers are still owed is in the "
        "liability report."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        lines = reports.summary_report()
        if not lines:
            self.stdout.write("No credits issued yet. See `manage.py import_assets`, or `manage.py seed` for a demo.")
            return
        rows = [
            (
                line["currency"],
                line["pool"]["name"] if line["pool"] else "",
                *(count_and_value(line[state]) for state in STATES),
            )
            for line in lines
        ]
        output.write_table(self.stdout, ("currency", "pool", *STATES), rows, right=STATES)


def count_and_value(state: dict[str, Any]) -> str:
    """Return a count and its value."""
    return f"{state['count']:,} / {state['value']}"
