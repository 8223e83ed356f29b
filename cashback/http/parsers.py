"""How a body is read."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import JSONParser


class Utf8JSONParser(JSONParser):
    """Reads JSON, whose length the middleware has bounded."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what the body says; raise ParseError."""
        # JSON between systems is UTF-8 whatever the header calls it (RFC 8259 §8.1).
        return super().parse(stream, media_type, {**(parser_context or {}), "encoding": "utf-8"})
