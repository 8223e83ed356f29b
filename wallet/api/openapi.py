"""What OpenAPI says of this door that the views do not say themselves: every way to be told no."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import get_language, override
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

from kernel.refusals import Refusal

F = TypeVar("F", bound=Callable[..., Any])

# Every stable code of an error, by its status.
CODES: dict[int, tuple[str, ...]] = {
    400: ("invalid", "parse_error", "idempotency_key_required", "too_many_rows"),
    401: ("not_authenticated", "token_not_valid", "bad_credentials", "token_reused"),
    403: ("permission_denied",),
    404: ("not_found",),
    405: ("method_not_allowed",),
    409: (
        "asset_already_claimed",
        "asset_expired",
        "asset_not_available",
        "asset_not_expired",
        "already_recreated",
        "pool_sold_out",
        "pool_closed",
        "claim_limit_reached",
        "request_in_progress",
        "email_taken",
        "not_sealed_yet",
    ),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    422: ("idempotency_key_reused",),
    429: ("rate_limited",),
    500: ("internal_error",),
    503: ("busy",),
}
STATUS = {code: status for status, codes in CODES.items() for code in codes}
WAIT = {"Retry-After": {"schema": {"type": "integer"}, "description": "After how many seconds to ask again."}}
TEXT = {"type": "string"}
PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457). Programs read `code`, people read `detail`, which says what to do next.",
    "examples": [
        {
            "type": "about:blank",
            "title": "Conflict",
            "status": 409,
            "detail": "Somebody else claimed this credit first. Choose another one.",
            "code": "asset_already_claimed",
            "instance": "/api/v1/assets/0192f0c1-7c3a-7b6e-9d52-3f1f4f0f8a11/claim/",
        }
    ],
    "required": ["type", "title", "status", "detail", "code", "instance"],
    "properties": {
        "type": TEXT | {"format": "uri-reference"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "code": TEXT | {"enum": list(STATUS)},
        "instance": TEXT | {"description": "The address that was asked."},
        "errors": {
            "type": "array",
            "description": "Which field is wrong, and why; the field is empty where the whole body is meant.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {"field": TEXT, "code": TEXT, "detail": TEXT},
            },
        },
    },
}


def operation(summary: str, *refusals: type[Refusal] | str, **schema: Any) -> Callable[[F], F]:
    """Say in a few words what an action does, and which refusals or codes it may answer with besides those that all have.

    The rest (`parameters`, `responses`, …) is drf-spectacular's.
    """
    codes = [refusal if isinstance(refusal, str) else refusal.code for refusal in refusals]
    decorate: Callable[[F], F] = extend_schema(summary=summary, extensions={"x-refusals": codes}, **schema)
    return decorate


def describe_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give every operation its error responses (a postprocessing hook of drf-spectacular)."""
    shapes = result["components"].setdefault("schemas", {})
    for name in shapes:
        if name.endswith("Request"):
            shapes[name]["additionalProperties"] = False  # every body is strict
    shapes["Problem"] = PROBLEM
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            codes = {*operation.pop("x-refusals", ()), *implied_codes(path, method, operation)}
            by_status = defaultdict(list)
            for code in filter(codes.__contains__, STATUS):
                by_status[STATUS[code]].append(code)
            operation["responses"] |= {str(status): problem_response(status, some) for status, some in by_status.items()}
    return result


def implied_codes(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    """Yield the codes that follow from an operation's address, method and security alone."""
    yield "busy"
    schemes = operation.get("security", [])
    if any(schemes):
        yield "token_not_valid"
    if any(schemes) and {} not in schemes:
        yield "not_authenticated"
    if any(schemes) and method != "get":
        yield "permission_denied"
    if "{" in path:
        yield "not_found"
    if method in ("post", "patch"):
        yield from ("invalid", "parse_error", "too_large", "unsupported_media_type")
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        yield "invalid"
        yield "rate_limited"  # a list that is searched is an expensive read


def problem_response(status: int, codes: list[str]) -> dict[str, Any]:
    """Return one error response: a problem with one of `codes`."""
    one_of = {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": {"code": {"enum": codes}}}]}
    return {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}.",
        "content": {"application/problem+json": {"schema": one_of}},
        **({"headers": WAIT} if status in (429, 503) else {}),
    }


@cache
def rendered(form: str, language: str) -> bytes:
    """Return the schema as "json" or "yaml", made once in each process: it takes a second of the processor."""
    renderer = next(each for each in SpectacularAPIView.renderer_classes if each.format == form)
    with override(language):
        schema = SpectacularAPIView.generator_class().get_schema(request=None, public=True)
        return bytes(renderer().render(schema, renderer_context={}))


class SchemaView(SpectacularAPIView):  # type: ignore[misc]
    """The OpenAPI schema, as JSON or YAML; a version that is asked for makes no other one."""

    def _get_schema_response(self, request: Request) -> HttpResponse:
        renderer = request.accepted_renderer
        asked = get_language()
        language = asked if asked in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE
        name = f'inline; filename="{self._get_filename(request, None)}"'
        content = rendered(str(renderer.format), str(language))
        return HttpResponse(content, content_type=renderer.media_type, headers={"Content-Disposition": name})
