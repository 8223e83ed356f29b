"""The parser of request bodies."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import JSONParser


class Utf8JSONParser(JSONParser):
    """Reads JSON as UTF-8. BodySizeMiddleware limits its length."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the parsed body; raise ParseError."""
        # JSON between systems is UTF-8, whatever charset the header names (RFC 8259 §8.1).
        return super().parse(stream, media_type, {**(parser_context or {}), "encoding": "utf-8"})
