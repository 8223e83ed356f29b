"""Keys of services: made, shown once, rotated and revoked."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Least, Now
from django.utils.translation import gettext as _
from rest_framework_api_key.crypto import KeyGenerator

from accounts import audit
from accounts.models import User
from accounts.services import Scope, Service, ServiceKey

# Only the package's generator: its model would add a salted look-up, and its permissions know no scopes. Its hasher is SHA-512.
GENERATOR = KeyGenerator(prefix_length=8, secret_key_length=32)
MAX_OVERLAP = timedelta(days=90)
MAX_KEYS = 20  # valid keys of one service
VALID = Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=Now()))


class NewKey(NamedTuple):
    """A new key and its text, which cannot be read again."""

    key: ServiceKey
    text: str


def create_key(
    service: Service, scopes: Iterable[str], *, actor: User | None = None, expires_at: datetime | None = None
) -> NewKey:
    """Make a key of the service and return it with its text, which is shown once.

    Arguments:
        actor: the operator; None: the shell.
        expires_at: when it ends by itself; None: never.

    Raises ValidationError for unknown or no scopes and for too many keys.
    """
    chosen = checked_scopes(scopes)
    with transaction.atomic():
        Service.objects.select_for_update(no_key=True).get(pk=service.pk)
        if service.keys.filter(VALID).count() >= MAX_KEYS:
            raise ValidationError(_("This service has too many valid keys. Revoke one first."), code="too_many_keys")
        text, prefix, digest = GENERATOR.generate()
        key = ServiceKey.objects.create(
            service=service, prefix=prefix, hash=digest, scopes=chosen, created_by=actor, expires_at=expires_at
        )
    record("create", key, actor, scopes=" ".join(chosen))
    return NewKey(key, text)


def rotate_key(key: ServiceKey, overlap: timedelta, actor: User | None = None) -> NewKey:
    """Make a key with the same scopes; the earlier one stays valid for `overlap` longer, unless it ends before that.

    Raises ValidationError for a key that is not valid and for an overlap that is negative or longer than 90 days.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise ValidationError(_("Both keys can be valid for 0 hours to 90 days."), code="overlap")
    with transaction.atomic():
        require_valid(key)
        made = create_key(key.service, key.scopes, actor=actor)
        ServiceKey.objects.filter(pk=key.pk).update(expires_at=Least(Now() + overlap, "expires_at"))
    record("rotate", key, actor, successor=made.key.prefix)
    return made


def revoke_key(key: ServiceKey, actor: User | None = None) -> None:
    """Revoke a key at once; do nothing when it was revoked before."""
    if ServiceKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=Now()):
        record("revoke", key, actor)


def set_service_active(service: Service, is_active: bool, actor: User | None = None) -> None:
    """Stop a service, so that all its requests are refused, or start it again."""
    if Service.objects.filter(pk=service.pk).exclude(is_active=is_active).update(is_active=is_active):
        change = "start" if is_active else "stop"
        audit.record_event("service_key", "done", actor, change=change, service=str(service.pk))


def require_valid(key: ServiceKey) -> None:
    """Lock the key; raise ValidationError unless it is neither revoked nor expired."""
    if not ServiceKey.objects.select_for_update(no_key=True).filter(VALID, pk=key.pk).exists():
        raise ValidationError(_("This key is no longer valid. Create a new one."), code="key_not_valid")


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    """Return the scopes in their usual order, each once; raise ValidationError for unknown ones and for none."""
    given = set(scopes)
    if unknown := sorted(given - set(Scope.values)):
        message = _("Unknown scope: %(names)s.") % {"names": ", ".join(unknown)}
        raise ValidationError({"scopes": ValidationError(message, code="scope")})
    if not given:
        raise ValidationError({"scopes": ValidationError(_("Choose at least one scope."), code="required")})
    return [scope for scope in Scope.values if scope in given]


def record(change: str, key: ServiceKey, actor: User | None, **details: str) -> None:
    """Write a line of the audit log: the prefix names the key, and nothing of its secret is written."""
    audit.record_event("service_key", "done", actor, change=change, service=str(key.service_id), key=key.prefix, **details)
