"""Pages about the site: help, terms, privacy, and how to verify a receipt. No sign-in is needed."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from wallet.ledger import signing

VERIFIER = settings.BASE_DIR / "examples/verify_proof.py"


def text_page(name: str) -> Callable[[HttpRequest], HttpResponse]:
    """Return a view of the template site/<name>.html, which a platform replaces by its own (SITE_TEMPLATES)."""

    @require_safe
    def view(request: HttpRequest) -> HttpResponse:
        return render(request, f"site/{name}.html")

    return view


@require_safe
def verify(request: HttpRequest) -> HttpResponse:
    """Explain how to verify a receipt, and show the public keys."""
    trusted = public_keys()
    commands = f"pip install cryptography\npython verify_proof.py claim.json --public-key {trusted[0]['public_key']}"
    return render(request, "site/verify.html", {"keys": trusted, "commands": commands})


@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    """Return the public keys of the seals as JSON."""
    return JsonResponse({"keys": public_keys()})


@require_safe
def verifier(request: HttpRequest) -> HttpResponse:
    """Return the program that verifies a proof without this server."""
    return HttpResponse(VERIFIER.read_bytes(), content_type="text/plain; charset=utf-8")


def public_keys() -> list[dict[str, str | bool]]:
    """Return the trusted public keys in hex, the current one first."""
    current = signing.public_key()
    former = sorted(signing.trusted_keys() - {current})
    return [{"algorithm": "Ed25519", "public_key": key.hex(), "current": key == current} for key in (current, *former)]
