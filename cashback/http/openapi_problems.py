"""The problems in the OpenAPI schema: a schema `Problem`, one response for each status, and the codes of each operation."""

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from accounts.service_authentication import KeyNotValid
from cashback.http.problem_details import status_of
from cashback.http.problems import PROBLEM_JSON, problem_type
from cashback.http.protocol_problems import (
    INTERNAL_ERROR,
    INVALID,
    METHOD_NOT_ALLOWED,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    PARSE_ERROR,
    PERMISSION_DENIED,
    PROTOCOL_PROBLEMS,
    TOKEN_NOT_VALID,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
)
from kernel.openapi import PROBLEM_CODES
from kernel.rate_limits import RateLimited
from kernel.refusals import all_refusals
from kernel.transactions import Busy

# Codes that an operation's responses do not list: a method that is not in the schema, and an error of the server.
UNLISTED_CODES = {METHOD_NOT_ALLOWED.code, INTERNAL_ERROR.code}
RETRY_AFTER = {"schema": {"type": "integer"}, "description": "The number of seconds after which a retry may succeed."}
TEXT = {"type": "string"}
EXAMPLE = {
    "type": problem_type("asset_already_claimed"),
    "title": "Conflict",
    "status": 409,
    "detail": "This credit was just claimed by someone else. Choose another one.",
    "code": "asset_already_claimed",
    "instance": "/api/v1/assets/0192f0c1-7c3a-7b6e-9d52-3f1f4f0f8a11/claim/",
    "request_id": "7d0c1f2b9a3e4c58b6f10d2e3a4b5c6d",
}
FIELD_ERRORS = {
    "type": "array",
    "description": "The errors of single fields, each named by its path (`lines.0.user`); empty for the request as a whole.",
    "items": {
        "type": "object",
        "required": ["field", "code", "detail"],
        "properties": {
            "field": TEXT,
            "code": TEXT | {"description": "Stable: one mistake has one code. docs/integrate.md lists them."},
            "detail": TEXT,
        },
    },
}


def describe_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to every operation the responses for its problems (a postprocessing hook of drf-spectacular)."""
    schemas = result["components"].setdefault("schemas", {})
    for name in schemas:
        if name.endswith("Request"):
            schemas[name]["additionalProperties"] = False  # serializers refuse unknown fields
    statuses: set[int] = set()
    codes = set(UNLISTED_CODES)
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            by_status = codes_by_status({*operation.get(PROBLEM_CODES, ()), *implied_codes(path, method, operation)})
            operation[PROBLEM_CODES] = {str(status): listed for status, listed in by_status.items()}
            operation["responses"] |= {str(status): reference(status, listed) for status, listed in by_status.items()}
            statuses |= by_status.keys()
            codes.update(*by_status.values())
    schemas["Problem"] = problem_schema(codes)
    result["components"]["responses"] = {component_name(status): problem_response(status) for status in sorted(statuses)}
    return result


def implied_codes(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    """Yield the codes that follow from the path, method and security of an operation."""
    yield from (Busy.code, INVALID.code)  # any address refuses unknown parameters
    schemes = operation.get("security", [])
    if any(schemes):  # also where no service may call, its key is read: a valid one is refused with 403
        yield from (TOKEN_NOT_VALID.code, KeyNotValid.code, RateLimited.code, PERMISSION_DENIED.code)
    if any(schemes) and {} not in schemes:
        yield NOT_AUTHENTICATED.code
    if "{" in path:
        yield NOT_FOUND.code
    if method in ("post", "patch"):
        yield from (PARSE_ERROR.code, TOO_LARGE.code, UNSUPPORTED_MEDIA_TYPE.code)
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        yield RateLimited.code  # a filtered list is an expensive read


def status_by_code() -> dict[str, int]:
    """Return the status of every code, ordered by status and code."""
    found = {refusal.code: status_of(refusal) for refusal in all_refusals()}
    found |= {kind.code: kind.status for kind in PROTOCOL_PROBLEMS}
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def codes_by_status(codes: set[str]) -> dict[int, list[str]]:
    """Return the codes grouped by status. Raises KeyError for an unknown code."""
    statuses, found = status_by_code(), defaultdict(list)
    for code in sorted(codes):
        found[statuses[code]].append(code)
    return dict(sorted(found.items()))


def component_name(status: int) -> str:
    """Return the name of the shared response for a status."""
    return f"Problem{status}"


def reference(status: int, codes: list[str]) -> dict[str, Any]:
    """Return a reference to the shared response for a status, described by the codes of one operation."""
    listed = ", ".join(f"[`{code}`]({problem_type(code)})" for code in codes)
    return {
        "$ref": f"#/components/responses/{component_name(status)}",
        "description": f"{HTTPStatus(status).phrase}: {listed}.",
    }


def problem_response(status: int) -> dict[str, Any]:
    """Return the shared response for a status."""
    return {
        "description": f"{HTTPStatus(status).phrase}.",
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        **({"headers": {"Retry-After": RETRY_AFTER}} if status in (409, 429, 503) else {}),
    }


def problem_schema(codes: set[str]) -> dict[str, Any]:
    """Return the schema of a problem with one of the codes."""
    return {
        "type": "object",
        "description": "A problem (RFC 9457). Programs read `code`; `detail` says what happened and what to do next.",
        "examples": [EXAMPLE],
        "required": list(EXAMPLE),
        "properties": {
            "type": TEXT | {"format": "uri-reference", "description": "The address of the documentation of the code."},
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "code": TEXT | {"enum": [code for code in status_by_code() if code in codes]},
            "instance": TEXT | {"description": "The path of the request."},
            "request_id": TEXT | {"description": "The id of the request, as in the header X-Request-ID. Quote it to support."},
            "errors": FIELD_ERRORS,
            "available": TEXT | {"description": "The amount that is possible, of codes that refuse an amount as too large."},
            "next_claim_at": TEXT | {"format": "date-time", "description": "When a claim will be possible, if that is known."},
        },
    }
