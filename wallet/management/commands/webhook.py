"""`manage.py webhook`: add, list, test, rotate, pause, send again and remove the webhooks of services."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.services import Service
from kernel.timestamps import format_minute
from wallet.actions import edit_webhook
from wallet.delivery.event_types import EVENT_TYPES
from wallet.delivery.models import WebhookEndpoint
from wallet.management.base_command import BaseCommand, positive_int, whole_number
from wallet.queries.webhooks import endpoint_states


class Command(BaseCommand):
    """Manages webhooks. A new secret is the last line of the output."""

    help = "Manage the webhooks of services: where events are sent to. A secret is printed once, when it is made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|list|test|rotate|pause|start|resend|remove")
        add = verbs.add_parser("add", help="send a service's events to a URL from now on")
        add.add_argument("service", help="the name of the service")
        add.add_argument("url", help="where the events are sent to, e.g. https://shop.example/webhooks")
        add.add_argument("--types", nargs="+", default=[], choices=EVENT_TYPES, metavar="TYPE", help=", ".join(EVENT_TYPES))
        verbs.add_parser("list", help="show all webhooks and how they are doing")
        about = {
            "test": "send a test event now",
            "rotate": "make a new secret; both sign for a while",
            "pause": "stop sending",
            "start": "go on sending from where it stopped",
            "resend": "try again now, or send events again",
            "remove": "remove a webhook and its log",
        }
        parsers = {verb: verbs.add_parser(verb, help=text) for verb, text in about.items()}
        for verb in parsers.values():
            verb.add_argument("id", type=UUID, help="the id, as `list` shows it")
        parsers["rotate"].add_argument(
            "--hours", type=whole_number, default=24, help="how long the previous secret signs too (default: %(default)s)"
        )
        parsers["resend"].add_argument(
            "--hours", type=positive_int, help="send all events of so many hours again (default: from where it stopped)"
        )
        for verb in (add, *parsers.values()):
            verb.add_argument("--dry-run", action="store_true", help="only show what would be done")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "list":
            self.show_all()
        elif verb == "add":
            self.add(**options)
        else:
            self.change(verb, **options)

    def show_all(self) -> None:
        """Show the webhooks, the failing ones first."""
        for found in endpoint_states():
            endpoint = found.endpoint
            last = format_minute(endpoint.last_success_at) if endpoint.last_success_at else "never"
            types = " ".join(endpoint.event_types) or "all types"
            self.stdout.write(
                f"{endpoint.pk}  {endpoint.service}  {endpoint.url}  {found.state}  {endpoint.delivered} delivered,"
                f" {found.behind} behind, last {last}  {types}"
            )

    def add(self, service: str, url: str, types: list[str], dry_run: bool, **_options: Any) -> None:
        """Add a webhook."""
        found = Service.objects.filter(name=service).first()
        if found is None:
            raise CommandError(f"There is no service {service}. Create it with `manage.py service_key create`.")
        if dry_run:
            self.stdout.write(f"Events of {found} would be sent to {url} (dry run, nothing changed).")
            return
        self.show(edit_webhook.add_webhook(found, url, types))

    def change(self, verb: str, id: UUID, dry_run: bool, hours: int | None = None, **_options: Any) -> None:  # noqa: A002
        """Do something with a webhook."""
        endpoint = WebhookEndpoint.objects.select_related("service").filter(pk=id).first()
        if endpoint is None:
            raise CommandError(f"There is no webhook {id}. See `manage.py webhook list`.")
        if dry_run:
            self.stdout.write(f"{verb} {endpoint.url} of {endpoint.service} (dry run, nothing changed).")
        elif verb == "test":
            self.test(endpoint)
        elif verb == "rotate":
            self.show(edit_webhook.rotate_webhook_secret(endpoint, timedelta(hours=hours or 0)))
        else:
            if verb in ("pause", "start"):
                edit_webhook.set_webhook_active(endpoint, verb == "start")
            elif verb == "resend":
                edit_webhook.resend_webhook(endpoint, timezone.now() - timedelta(hours=hours) if hours else None)
            else:
                edit_webhook.remove_webhook(endpoint)
            self.stdout.write(self.style.SUCCESS(f"Done: {verb} {endpoint.url}."))

    def test(self, endpoint: WebhookEndpoint) -> None:
        """Send a test event; raise CommandError when it does not arrive."""
        attempt = edit_webhook.send_test_event(endpoint)
        if not attempt.succeeded:
            raise CommandError(f"The test event did not arrive: {attempt.status or ''} {attempt.detail}".strip())
        self.stdout.write(self.style.SUCCESS(f"The test event arrived: {attempt.status} after {attempt.duration_ms} ms."))

    def show(self, made: edit_webhook.NewSecret) -> None:
        """Print a new secret."""
        self.stderr.write(f"Webhook {made.endpoint.pk} to {made.endpoint.url}. Its secret is shown only now:")
        self.stdout.write(made.secret)
