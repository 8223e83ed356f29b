"""The header `Idempotency-Key`, which makes a retried request take effect once."""

import re
from typing import Any

from django.utils.translation import gettext_noop as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework import request as http
from rest_framework.exceptions import ValidationError

from accounts.models import User
from accounts.services import Service
from kernel.refusals import BadRequest
from wallet.ledger import idempotency

HEADER = "Idempotency-Key"
META_NAME = "HTTP_IDEMPOTENCY_KEY"  # request.headers would parse every header
KEY = re.compile(idempotency.KEY_PATTERN)
REPLAYED = {"Idempotency-Replayed": "true"}


class IdempotencyKeyRequired(BadRequest):
    code = "idempotency_key_required"
    meaning = _("The request must have an Idempotency-Key, so that a retry is not processed twice.")
    detail = _(
        "Send an Idempotency-Key header with a new random value of 16 to 64 characters (A-Z, a-z, 0-9, _ or -). "
        "Send the same value to retry."
    )


def idempotency_key(request: http.Request) -> str | None:
    """Return the request's key, or None without one. Raises ValidationError when it is malformed."""
    key = request.META.get(META_NAME)
    if key is not None and not KEY.fullmatch(key):
        raise ValidationError(
            {HEADER: "Idempotency keys must be 16–64 characters (A–Z, a–z, 0–9, _ or -)."}, code="idempotency_key"
        )
    return key


def idempotent_request(
    request: http.Request, caller: User | Service, route: str, *content: Any
) -> idempotency.IdempotentRequest | None:
    """Return the request with its key and the fingerprint of `content`, or None when it has no key."""
    key = idempotency_key(request)
    return (key and idempotency.IdempotentRequest(caller, route, key, idempotency.fingerprint(*content))) or None


def required_idempotent_request(request: http.Request, user: User, route: str, *content: Any) -> idempotency.IdempotentRequest:
    """Return the request with its key. Raises IdempotencyKeyRequired."""
    keyed_request = idempotent_request(request, user, route, *content)
    if keyed_request is None:
        raise IdempotencyKeyRequired
    return keyed_request


def idempotency_key_parameter(*, required: bool) -> OpenApiParameter:
    """Describe the header for OpenAPI."""
    return OpenApiParameter(
        HEADER,
        {"type": "string", "pattern": f"^{idempotency.KEY_PATTERN}$", "examples": ["8f14e45f-ceea-467f-a0e6-1ab8d1c2b3a4"]},
        OpenApiParameter.HEADER,
        required=required,
        description=(
            "Unique key for this request. Retries with the same key return the original response. Kept for 7 days; "
            "after that, claims are replayed from the ledger."
        ),
    )


REPLAYED_HEADER = OpenApiParameter(
    "Idempotency-Replayed",
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    response=True,
    description="`true` when the response is replayed.",
)
