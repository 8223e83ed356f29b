"""The parser of request bodies."""

import codecs
import json
from collections import Counter
from collections.abc import Iterator, Mapping
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
        repeating: list[RepeatingObject] = []

        def read_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
            found = dict(members)
            if len(found) < len(members):
                found = RepeatingObject(members)
                repeating.append(found)
            return found

        try:
            # JSON between systems is UTF-8, whatever charset the header names (RFC 8259 §8.1).
            text = codecs.getreader("utf-8")(stream)
            body: dict[str, Any] = json.load(text, parse_constant=strict_constant, object_pairs_hook=read_object)
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from error
        if repeating:
            twice = {path: ["This field appears more than once."] for path in repeated_paths(body)}
            raise ValidationError(twice, code="duplicate")
        return body


class RepeatingObject(dict[str, Any]):
    """A JSON object in which names appear more than once.

    Parsers disagree about which of them counts (RFC 8259 §4), so none is taken.
    """

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(members)
        self.repeated = [name for name, count in Counter(name for name, _ in members).items() if count > 1]


def repeated_paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the path of each member of the JSON value whose name appears more than once in its object, joined by dots."""
    if isinstance(value, RepeatingObject):
        yield from (".".join((*path, name)) for name in value.repeated)
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from repeated_paths(inner, (*path, str(key)))
