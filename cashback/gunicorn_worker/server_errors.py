"""Errors of the web server before Django gets the request: problem+json with the headers of every response."""

import json
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors

from cashback.http.headers import HEADERS, STRICT_POLICY

# The headers that Django's middleware adds to its responses.
DJANGO_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class ServerError:
    """An HTTP status, its stable code, and a sentence for users."""

    status: int
    code: str
    detail: str

    def response(self) -> bytes:
        """Return the complete HTTP response, which announces that the connection is closed."""
        title = HTTPStatus(self.status).phrase
        members = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, "code": self.code}
        body = json.dumps(members).encode()
        own = {
            "Date": formatdate(usegmt=True),
            "Connection": "close",
            "Content-Type": "application/problem+json",
            "Content-Length": str(len(body)),
        }
        headers = {**own, "Content-Security-Policy": STRICT_POLICY, **HEADERS, **DJANGO_HEADERS}
        lines = [f"HTTP/1.1 {self.status} {title}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1") + body


MALFORMED = ServerError(400, "parse_error", "This is not a well-formed HTTP/1.1 request.")
TOO_SLOW = ServerError(408, "parse_error", "The request did not arrive in time. Send it again, whole.")
EXPECTATION = ServerError(417, "parse_error", "The only expectation that is understood is 100-continue.")
LINE_TOO_LONG = ServerError(414, "too_large", "The address is too long. Send less in it.")
HEAD_TOO_LARGE = ServerError(431, "too_large", "The headers are too large or too many. Send less in them.")
CODING = ServerError(501, "parse_error", "This Transfer-Encoding is not understood. Send the body with its Content-Length.")
BROKEN = ServerError(500, "internal_error", "Something broke on our side; it has been written down. Try again later.")
ERRORS_BY_EXCEPTION: dict[Any, ServerError] = {
    errors.LimitRequestLine: LINE_TOO_LONG,
    errors.LimitRequestHeaders: HEAD_TOO_LARGE,
    errors.UnsupportedTransferCoding: CODING,
    errors.ExpectationFailed: EXPECTATION,
    errors.ConfigurationProblem: BROKEN,
    # Invalid response headers, which are our own bug.
    errors.InvalidResponseHeader: BROKEN,
    errors.InvalidResponseHeaderName: BROKEN,
    errors.ParseException: MALFORMED,
}


def server_error(error: BaseException) -> ServerError:
    """Return the response for an exception of gunicorn: by default an internal error."""
    return next((response for kind, response in ERRORS_BY_EXCEPTION.items() if isinstance(error, kind)), BROKEN)
