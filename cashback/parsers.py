"""How much of a body is read."""

from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.parsers import JSONParser


class BoundedJSONParser(JSONParser):
    """Reads JSON of at most DATA_UPLOAD_MAX_MEMORY_SIZE bytes, which DRF alone does not look at."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what the body says; raise RequestDataTooBig without reading more than the limit, ParseError."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise RequestDataTooBig
        # JSON between systems is UTF-8 whatever the header calls it (RFC 8259 §8.1).
        return super().parse(BytesIO(body), media_type, {**(parser_context or {}), "encoding": "utf-8"})
