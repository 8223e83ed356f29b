"""Authentication of API requests by the key of a service: `Authorization: Api-Key prefix.secret`."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_noop as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed, Throttled
from rest_framework.request import Request

from accounts import audit
from accounts.authentication import USER_COLUMNS
from accounts.email_addresses import normal_email
from accounts.models import User
from accounts.service_keys import GENERATOR
from accounts.services import Service, ServiceKey
from kernel.batching import Batcher
from kernel.client_address import client_identity
from kernel.fallbacks import Fallback
from kernel.rate_limits import seconds_to_wait
from kernel.refusals import Unauthenticated

log = logging.getLogger(__name__)
SCHEME = "api-key"
MINUTE = timedelta(minutes=1)
PREFIX_LENGTH, MAX_KEY_LENGTH = 8, 64
# The key with its service and, when the request names one, the user. Each look-up is a row of `asked`, found by unique indexes.
FIND_KEYS = f"""\
SELECT asked.place, key.id, key.prefix, key.hash, key.scopes, service.id, service.name,
    coalesce(key.last_used_at < now() - interval '1 minute', true) AS is_use_due,
    {", ".join(f"person.{column}" for column in USER_COLUMNS.values())}
FROM unnest(%s::text[], %s::uuid[], %s::text[]) WITH ORDINALITY AS asked (prefix, user_id, email, place)
JOIN accounts_servicekey AS key ON key.prefix = asked.prefix AND key.revoked_at IS NULL
    AND (key.expires_at IS NULL OR key.expires_at > now())
JOIN accounts_service AS service ON service.id = key.service_id AND service.is_active
LEFT JOIN LATERAL (SELECT * FROM accounts_user WHERE id = asked.user_id
    UNION ALL SELECT * FROM accounts_user WHERE email = asked.email LIMIT 1) AS person ON true
"""  # noqa: S608  (made of our own columns)
USE_NOT_RECORDED = Fallback("service_keys.use_not_recorded", "the last use of a service key was not recorded", log)
# One thread, which starts at the first use and so after a fork; what it does no request waits for.
_recorder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="service-key-uses")


class KeyNotValid(Unauthenticated, AuthenticationFailed):
    """Also an exception of DRF, which otherwise would authenticate again for its browsable page."""

    code = "key_not_valid"
    meaning = _("The service key is malformed, unknown, expired or revoked, or its service is inactive.")
    detail = _(  # type: ignore[assignment, misc]
        "This key is not valid. Ask an operator for a new one."
    )


class Asked(NamedTuple):
    """What is looked up: a key by its prefix, and the user that the request names by id or email."""

    prefix: str
    user_id: UUID | None
    email: str | None


@dataclass(frozen=True)
class ServiceCaller:
    """A service as the caller of a request: the `user` of the request, though no user of the platform.

    `named_user` is the user that the request names, None when there is no such user or none is named.
    """

    key_id: UUID
    key_prefix: str
    key_hash: str
    scopes: frozenset[str]
    service: Service
    is_use_due: bool
    named_user: User | None
    is_authenticated = False  # what is for users is not for services
    is_active = True
    is_admin = False

    @property
    def pk(self) -> UUID:
        """The id by which rates are counted."""
        return self.service.pk


def find_keys(asked: Sequence[Asked]) -> list[ServiceCaller | None]:
    """Return for each look-up the valid key with its active service and the named user, or None."""
    columns = [list(column) for column in zip(*asked, strict=True)]
    with connection.prepared_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(FIND_KEYS, columns)
        callers = {row[0]: caller_of(row) for row in cursor.fetchall()}
    return [callers.get(place) for place, _asked in enumerate(asked, start=1)]


def caller_of(row: Sequence[Any]) -> ServiceCaller:
    """Return the caller of a row of FIND_KEYS."""
    _place, key_id, key_prefix, key_hash, scopes, service_id, name, is_due, *person = row
    service = Service(id=service_id, name=name)
    user = User.from_db("default", USER_COLUMNS, person) if person[0] is not None else None
    return ServiceCaller(key_id, key_prefix, key_hash, frozenset(scopes), service, is_due, user)


key_batcher: Batcher[Asked, ServiceCaller | None] = Batcher("service_keys", find_keys, lambda asked: find_keys([asked])[0])


class ServiceKeyAuthentication(BaseAuthentication):
    """Reads key, service and named user from the database by one statement per request: revoking takes effect at once."""

    def authenticate(self, request: Request) -> tuple[Any, UUID] | None:
        """Return the caller and the id of its key; None without a service key. Raises KeyNotValid, Throttled."""
        scheme, _space, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != SCHEME:
            return None
        name, unreadable = named_user(request)
        caller = find_caller(text.strip(), name)
        if caller is None:
            raise refused(request, text)
        if unreadable is not None:
            raise unreadable
        if caller.is_use_due:
            _recorder.submit(record_use, caller.key_id)
        return caller, caller.key_id

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return 'Api-Key realm="api"'


def named_user(request: Request) -> tuple[str | None, APIException | None]:
    """Return the user that the request names in its query or JSON body, and why the body cannot be read.

    The body is read before the key is known to be valid, so that both are looked up together; its size is limited.
    """
    try:
        data = request.data if request.method == "POST" else request.query_params
    except APIException as error:
        return None, error
    name = data.get("user") if isinstance(data, dict) else None
    return (name if isinstance(name, str) else None), None


def find_caller(text: str, name: str | None) -> ServiceCaller | None:
    """Return the caller whose key has this text, with the user of this id or email; None for a wrong key."""
    prefix, dot, _secret = text.partition(".")
    if not dot or len(prefix) != PREFIX_LENGTH or len(text) > MAX_KEY_LENGTH or not text.isascii() or not text.isprintable():
        return None
    caller = key_batcher.submit(Asked(prefix, *user_names(name)))
    return caller if caller is not None and GENERATOR.verify(text, caller.key_hash) else None


def user_names(name: str | None) -> tuple[UUID | None, str | None]:
    """Return a name of a user as an id or as an email."""
    if not name or not name.isprintable():  # a lone surrogate would make the whole batch fail
        return None, None
    try:
        return UUID(name), None
    except ValueError:
        return None, normal_email(name)


def refused(request: Request, text: str) -> APIException:
    """Record and count a wrong key for the client's address; return the answer. A right key is never counted."""
    prefix = text.strip().partition(".")[0][:PREFIX_LENGTH]
    audit.record_event("service_key", "refused", key=prefix, code=KeyNotValid.code)
    wait = seconds_to_wait("service_key", client_identity(request))
    return Throttled(wait=wait) if wait else KeyNotValid()


def record_use(key_id: UUID) -> None:
    """Record that a key was used, unless that was recorded within the last minute."""
    is_due = Q(last_used_at=None) | Q(last_used_at__lt=Now() - MINUTE)
    try:
        ServiceKey.objects.filter(is_due, pk=key_id).update(last_used_at=Now())
    except (DatabaseError, InterfaceError):
        USE_NOT_RECORDED.record()
    finally:
        connection.close()


class ServiceKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[misc]
    """The OpenAPI security scheme of ServiceKeyAuthentication."""

    target_class = ServiceKeyAuthentication
    name = "service_key"

    def get_security_definition(self, auto_schema: Any) -> Any:
        """Return the header."""
        description = "The key of a service: `Api-Key prefix.secret`."
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": description}
