"""The parser of request bodies."""

import codecs
import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.utils.json import strict_constant


class Utf8JSONParser(JSONParser):
    """Reads JSON as UTF-8 and refuses an object with two members of one name. BodySizeMiddleware limits its length."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the parsed body; raise ParseError, or ValidationError for a name that appears twice."""
        try:
            # JSON between systems is UTF-8, whatever charset the header names (RFC 8259 §8.1).
            text = codecs.getreader("utf-8")(stream)
            return json.load(text, parse_constant=strict_constant, object_pairs_hook=unique_members)  # type: ignore[no-any-return]
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from error


def unique_members(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object; raise ValidationError, which names those that appear more than once.

    Parsers disagree about which of them counts (RFC 8259 §4), so none is taken.
    """
    unique = dict(members)
    if len(unique) < len(members):
        names = [name for name, _ in members]
        twice = {name: ["This field appears more than once."] for name in unique if names.count(name) > 1}
        raise ValidationError(twice, code="duplicate")
    return unique
