"""Every URL of the project, from the resolver."""

import re
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

NOTHING = "00000000-0000-7000-8000-000000000000"
# What cannot be filled by the name of a room.
SPECIAL = {"r/<path:content_type_id>/": "r/1/", "(?P<url>.*)$": "nothing"}


def routes(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[str]:
    """Yield each route, its parameters as they are written in the code."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route
        else:
            yield from routes(pattern, route)


def filled(route: str, ids: dict[str, str]) -> str:
    """Return an address of the route: each id is of something in the room named before it, or of nothing."""
    for text, value in SPECIAL.items():
        route = route.replace(text, value)
    route = re.sub(r"\^\(\?P<app_label>(\w+)[^)]*\)/\$", r"\1/", route)
    return re.sub(r"(\w+)/<[^>]+>", lambda found: f"{found[1]}/{ids.get(found[1], NOTHING)}", route)


def addresses(ids: dict[str, str]) -> list[str]:
    """Return an address of every route."""
    return list(dict.fromkeys(filled(route, ids) for route in routes()))
