"""`manage.py service_key`: make, rotate, revoke and list the API keys of services."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.service_keys import NewKey, create_key, revoke_key, rotate_key
from accounts.services import Scope, Service, ServiceKey
from kernel.timestamps import format_minute
from wallet.management.base_command import BaseCommand, positive_int, whole_number


class Command(BaseCommand):
    """Manages the keys of services. The text of a new key is the last line of the output."""

    help = "Create, rotate, revoke or list the API keys of services. A new key is printed once; only its hash is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|rotate|revoke|list")
        create = verbs.add_parser("create", help="make a key, and its service if there is none of this name")
        create.add_argument("service", help="the name of the service")
        create.add_argument(
            "--scopes",
            nargs="+",
            required=True,
            choices=Scope.values,
            metavar="SCOPE",
            help=", ".join(Scope.values),
        )
        create.add_argument("--days", type=positive_int, help="how many days the key is valid (default: until it is revoked)")
        rotate = verbs.add_parser("rotate", help="make a key with the same scopes; both are valid for a while")
        rotate.add_argument("prefix", help="the part of the earlier key before the dot")
        rotate.add_argument(
            "--hours", type=whole_number, default=24, help="how long the earlier key stays valid (default: %(default)s)"
        )
        revoke = verbs.add_parser("revoke", help="end a key at once")
        revoke.add_argument("prefix", help="the part of the key before the dot")
        listing = verbs.add_parser("list", help="show all keys without their secrets")
        listing.add_argument("service", nargs="?", help="the name of a service (default: all)")
        for verb in (create, rotate, revoke):
            verb.add_argument("--dry-run", action="store_true", help="only show what would be done")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        getattr(self, verb)(**options)

    def create(self, service: str, scopes: list[str], days: int | None, dry_run: bool, **_options: Any) -> None:
        """Make a key."""
        expires_at = timezone.now() + timedelta(days=days) if days else None
        if dry_run:
            self.stdout.write(f"A key of {service} would be created (dry run, nothing changed).")
            return
        found, _is_new = Service.objects.get_or_create(name=service)
        self.show(create_key(found, scopes, expires_at=expires_at))

    def rotate(self, prefix: str, hours: int, dry_run: bool, **_options: Any) -> None:
        """Make the successor of a key."""
        key = find_key(prefix)
        if dry_run:
            self.stdout.write(f"Key {key.prefix} would be rotated and end in {hours} hours (dry run, nothing changed).")
            return
        self.show(rotate_key(key, timedelta(hours=hours)))
        self.stderr.write(f"Key {key.prefix} ends in {hours} hours.")

    def revoke(self, prefix: str, dry_run: bool, **_options: Any) -> None:
        """Revoke a key."""
        key = find_key(prefix)
        if dry_run:
            self.stdout.write(f"Key {key.prefix} would be revoked (dry run, nothing changed).")
            return
        revoke_key(key)
        self.stdout.write(self.style.SUCCESS(f"Key {key.prefix} is revoked."))

    def list(self, service: str | None, **_options: Any) -> None:
        """Show the keys, the newest first."""
        keys = ServiceKey.objects.select_related("service")
        for key in keys.filter(service__name=service) if service else keys:
            used = format_minute(key.last_used_at) if key.last_used_at else "never"
            state = key.state(timezone.now())
            self.stdout.write(f"{key.prefix}  {key.service}  {state}  last used {used}  {' '.join(key.scopes)}")

    def show(self, made: NewKey) -> None:
        """Print a new key."""
        self.stderr.write(f"Key of {made.key.service} with {' '.join(made.key.scopes)}. It is shown only now:")
        self.stdout.write(made.text)


def find_key(prefix: str) -> ServiceKey:
    """Return the key of this prefix; raise CommandError."""
    key = ServiceKey.objects.select_related("service").filter(prefix=prefix).first()
    if key is None:
        raise CommandError(f"No key begins with {prefix}.")
    return key
