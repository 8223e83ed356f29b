"""The caller's network address, read from the connection or from trusted proxies' headers."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def client_identity(request: HttpRequest | Request) -> str:
    """Return whom to count for an anonymous caller: the IPv4 address, or the IPv6 network that one household gets."""
    ip = client_ip(request)
    return f"ip:{ip_network((ip, 64), strict=False) if ':' in ip else ip}"


def client_ip(request: HttpRequest | Request) -> str:
    """Return the caller's address: the n-th from the right of X-Forwarded-For behind n proxies of ours, else the peer's.

    Whoever calls writes the left of that header, so with no proxy of ours it is not read at all.
    """
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    trusted = settings.TRUSTED_PROXIES
    forwarded = hops[-trusted] if 0 < trusted <= len(hops) else ""
    return normalized_address(forwarded) or normalized_address(request.META.get("REMOTE_ADDR", "")) or "unknown"


@lru_cache(maxsize=4096)
def normalized_address(text: str) -> str:
    """Return the address in its one normal form, or nothing when it is none."""
    try:
        ip = ip_address(text.strip())
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(ip.packed))
    return str(ip)
