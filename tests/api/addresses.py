"""The URLs of the API and their methods, as the URL resolver has them."""

import re
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from tests.api.conftest import ROOT

METHODS = ("get", "post", "put", "patch", "delete")


def addresses(resolver: URLResolver | None = None, prefix: str = "/") -> dict[str, Any]:
    """Return the view of each address, ids in it written as {id}."""
    found: dict[str, Any] = {}
    for pattern in (resolver or get_resolver()).url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            found[re.sub(r"<(\w+:)?\w+>", "{id}", path)] = pattern.callback
        else:
            found |= addresses(pattern, path)
    return {path: view for path, view in found.items() if path.startswith(ROOT)}


def methods(view: Any) -> set[str]:
    """Return what a view answers to, as its router or its class says."""
    actions = getattr(view, "actions", None)
    return {method for method in METHODS if (method in actions if actions else hasattr(view.view_class, method))}


def routes() -> set[tuple[str, str]]:
    """Return each method and address, the latter without the API's root."""
    return {(method.upper(), path.removeprefix(f"{ROOT}/")) for path, view in addresses().items() for method in methods(view)}
