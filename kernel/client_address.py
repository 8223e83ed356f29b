"""The client's network address, from the connection or from the header of trusted proxies."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def client_identity(request: HttpRequest | Request) -> str:
    """Return the rate-limit identity of an anonymous client: its IPv4 address, or its IPv6 /64 network (one household)."""
    ip = client_ip(request)
    return f"ip:{ip_network((ip, 64), strict=False) if ':' in ip else ip}"


def client_ip(request: HttpRequest | Request) -> str:
    """Return the client's address: the n-th from the right of X-Forwarded-For behind n trusted proxies, else the peer's.

    Clients can send that header themselves, so it is ignored without trusted proxies.
    """
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    proxies = settings.TRUSTED_PROXIES
    forwarded = hops[-proxies] if 0 < proxies <= len(hops) else ""
    return normalized_address(forwarded) or normalized_address(request.META.get("REMOTE_ADDR", "")) or "unknown"


@lru_cache(maxsize=4096)
def normalized_address(text: str) -> str:
    """Return the address in its canonical form, or an empty string if the text is not an address."""
    try:
        ip = ip_address(text.strip())
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(ip.packed))
    return str(ip)
