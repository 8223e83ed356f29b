"""Errors of the web server before Django gets the request: problem+json with the headers of every response."""

import json
from email.utils import formatdate
from typing import Any

from gunicorn.http import errors

from cashback.http.headers import HEADERS, STRICT_POLICY
from cashback.http.problems import PROBLEM_JSON, ProblemKind
from kernel.request_id import REQUEST_ID_HEADER

# The headers that Django's middleware adds to its responses.
DJANGO_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def _(message: str) -> str:
    """Mark a message for translation. Django's gettext_noop needs settings, which gunicorn loads after its worker class."""
    return message


class ServerError(ProblemKind):
    """A kind of problem that the web server finds."""

    def response(self, request_id: str) -> bytes:
        """Return the complete HTTP response, which announces that the connection is closed."""
        body = json.dumps(self.problem().body() | {"request_id": request_id}).encode()
        own = {
            "Date": formatdate(usegmt=True),
            "Connection": "close",
            "Content-Type": PROBLEM_JSON,
            "Content-Length": str(len(body)),
            REQUEST_ID_HEADER: request_id,
        }
        headers = {**own, "Content-Security-Policy": STRICT_POLICY, **HEADERS, **DJANGO_HEADERS}
        lines = [f"HTTP/1.1 {self.status} {self.title}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1") + body


MALFORMED = ServerError(
    400,
    "parse_error",
    _("The request does not follow HTTP/1.1."),
    _("Send a well-formed HTTP/1.1 request."),
)
TOO_SLOW = ServerError(
    408,
    "parse_error",
    _("The request took too long to arrive."),
    _("The request did not arrive in time. Send it again."),
)
EXPECTATION = ServerError(
    417,
    "parse_error",
    _("The Expect header asks for something that the server does not support."),
    _("Send no Expect header, or Expect: 100-continue."),
)
LINE_TOO_LONG = ServerError(
    414,
    "too_large",
    _("The address of the request is longer than the server accepts."),
    _("The address is too long. Use a shorter one."),
)
HEAD_TOO_LARGE = ServerError(
    431,
    "too_large",
    _("The headers of the request are larger than the server accepts."),
    _("The headers are too large or too many. Send fewer or shorter ones."),
)
CODING = ServerError(
    501,
    "parse_error",
    _("The server does not support the Transfer-Encoding of the request."),
    _("This Transfer-Encoding is not supported. Send the body with its Content-Length."),
)
BROKEN = ServerError(
    500,
    "internal_error",
    _("An error occurred in the server and has been logged."),
    _("Something went wrong on our side. The error has been logged. Try again later."),
)
SERVER_ERRORS = (MALFORMED, TOO_SLOW, LINE_TOO_LONG, EXPECTATION, HEAD_TOO_LARGE, BROKEN, CODING)
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
