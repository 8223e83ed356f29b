"""The request's own name, `Idempotency-Key`, under which it is done once however often it is sent."""

import re
from typing import Any

from django.utils.translation import gettext_noop as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework import request as http
from rest_framework.exceptions import ValidationError

from accounts.models import User
from kernel.refusals import BadRequest
from wallet.ledger import idempotency

HEADER = "Idempotency-Key"
IN_META = "HTTP_IDEMPOTENCY_KEY"  # request.headers would read all of them for this one
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
    """Return the request's key, or None. Raises ValidationError when it is none that could be."""
    key = request.META.get(IN_META)
    if key is not None and not KEY.fullmatch(key):
        raise ValidationError({HEADER: "A key is 16 to 64 of A-Z a-z 0-9 _ - and nothing else."}, code="idempotency_key")
    return key


def idempotent_request(request: http.Request, user: User, route: str, *asked: Any) -> idempotency.IdempotentRequest | None:
    """Return the request under its key, with all that was `asked` for, or None when it has no key."""
    key = idempotency_key(request)
    return (key and idempotency.IdempotentRequest(user, route, key, idempotency.fingerprint(*asked))) or None


def required_idempotent_request(request: http.Request, user: User, route: str, *asked: Any) -> idempotency.IdempotentRequest:
    """Return the request under its key. Raises IdempotencyKeyRequired."""
    found = idempotent_request(request, user, route, *asked)
    if found is None:
        raise IdempotencyKeyRequired
    return found


def idempotency_key_parameter(*, required: bool) -> OpenApiParameter:
    """Describe the header for OpenAPI."""
    return OpenApiParameter(
        HEADER,
        {"type": "string", "pattern": f"^{idempotency.KEY_PATTERN}$", "examples": ["8f14e45f-ceea-467f-a0e6-1ab8d1c2b3a4"]},
        OpenApiParameter.HEADER,
        required=required,
        description=(
            "Names this request: sent again with the same key, it is answered again and not done again. Kept 7 days; "
            "a claim is answered from the ledger afterwards."
        ),
    )


REPLAYED_HEADER = OpenApiParameter(
    "Idempotency-Replayed",
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    response=True,
    description="Present when this very request had been answered before; the answer is that one.",
)
