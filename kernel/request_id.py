"""The id of the current request, for logs, responses and the audit log."""

import re
import secrets
from contextvars import ContextVar

REQUEST_ID_HEADER = "X-Request-ID"
# Empty outside of a request.
current_request_id: ContextVar[str] = ContextVar("request_id", default="")
# No spaces, quotes, control characters or angle brackets: the id is repeated in logs and headers.
WELL_FORMED = re.compile(r"[A-Za-z0-9._~:+/=@-]{1,128}")


def choose_request_id(received: str | None) -> str:
    """Return the id that a client or proxy sent, if it is well-formed, else a new one of 32 hex digits."""
    if received and WELL_FORMED.fullmatch(received):
        return received
    return new_request_id()


def new_request_id() -> str:
    """Return a random id of 32 hex digits."""
    return secrets.token_hex(16)
