"""Conditional requests (RFC 9110 §13): the header `ETag` of a credit or pool, and `If-Match`."""

import re
from collections.abc import Iterable

from django.db.models import Model
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from kernel.versions import ChangedMeanwhile, Precondition, accept_any, version_of

HEADER = "If-Match"
META_NAME = "HTTP_IF_MATCH"
TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# A list may have empty elements (RFC 9110 §5.6.1.2).
TAGS = re.compile(rf"[ \t,]*{TAG}(?:[ \t]*,[ \t]*(?:{TAG})?)*[ \t]*")
INVALID = 'Use * or a list of entity tags as the header ETag gave them, e.g. "0a1b2c".'


def etag_of(row: Model, names: Iterable[str]) -> str:
    """Return the entity tag of a row: the version of its columns `names`."""
    return f'"{version_of(row, names)}"'


def if_match(request: Request, names: Iterable[str]) -> Precondition:
    """Return the precondition of the request; without one, or with `*`, any version is accepted. Raises ValidationError.

    Tags are compared strongly: a weak one matches nothing.
    """
    header = request.META.get(META_NAME)
    if header is None or header.strip(" \t") == "*":
        return accept_any
    if not TAGS.fullmatch(header):
        raise ValidationError({HEADER: INVALID}, code="entity_tag")
    tags = re.findall(TAG, header)

    def require(row: Model) -> None:
        if etag_of(row, names) not in tags:
            raise ChangedMeanwhile

    return require


IF_MATCH = OpenApiParameter(
    HEADER,
    {"type": "string", "examples": ['"6f1c2a0e9b7d4c3f8a5e1d0b2c4f6a8e"']},
    OpenApiParameter.HEADER,
    description="The `ETag` of the version that you read. If it was changed since, the answer is 412 and nothing is done.",
)


def etag_header(*statuses: int) -> OpenApiParameter:
    """Describe the header `ETag` of the responses with these statuses for OpenAPI."""
    return OpenApiParameter(
        "ETag",
        {"type": "string"},
        OpenApiParameter.HEADER,
        response=[*statuses],
        description="The version of what an operator can change. Send it as `If-Match` with a change.",
    )
