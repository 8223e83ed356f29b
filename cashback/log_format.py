"""Log lines with the id of the request, as text or as JSON (LOG_FORMAT)."""

import json
import logging
from datetime import UTC, datetime

from kernel.request_id import current_request_id


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to each record, "-" outside of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        # Django logs an error response after the middleware has returned it, together with the request.
        request_id = current_request_id.get() or getattr(getattr(record, "request", None), "request_id", "")
        record.request_id = request_id or "-"
        return True


class ClientErrorFilter(logging.Filter):
    """Makes one WARNING line of a request that Django rejects, which it logs as an error with a traceback of our code.

    Anyone can cause them: by a body that is too large, or a host that is not served here.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        if record.name.startswith("django.security."):
            record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
        return True


class JSONFormatter(logging.Formatter):
    """One JSON object per line; the dict `fields` of a record, if it has one, is part of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", "-"),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
