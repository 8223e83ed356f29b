"""`manage.py send_notices`: write the notices that are due and send their emails."""

from argparse import ArgumentParser
from typing import Any

from wallet.actions import record_notices, send_notices
from wallet.management import output
from wallet.management.base_command import BaseCommand
from wallet.notices.models import Notice, NoticeKind, NoticeState
from wallet.queries.notices import preview_of_notices


class Command(BaseCommand):
    """Does at once what the scheduler does every minute."""

    help = (
        "Email users about credits that end soon, grants and refunds. Safe to run repeatedly and"
        " concurrently with the scheduler: no notice is sent twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count what would be written and sent")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if dry_run:
            self.show_preview()
            return
        written = record_notices.record_notices()
        waiting = Notice.objects.filter(state=NoticeState.WAITING).count()
        with output.progress_bar(self.stderr, "Sending", waiting) as advance:
            outcomes = send_notices.send_waiting_notices(advance)
        parts = [f"{output.count_noun(written, 'notice')} written"]
        parts += [f"{outcomes[state]} {NoticeState(state).label.lower()}" for state in NoticeState if outcomes[state]]
        self.stdout.write(self.style.SUCCESS(f"{'; '.join(parts)}."))

    def show_preview(self) -> None:
        """Write what a run would do now."""
        preview = preview_of_notices()
        output.write_table(
            self.stdout,
            ("Notices", "Number"),
            [*((kind.label, preview[kind]) for kind in NoticeKind), ("Waiting to be sent", preview["waiting"])],
            title="A run would write and send (dry run, nothing changed)",
            right=("Number",),
        )
