"""The client's network address, from the connection or from the header of trusted proxies."""

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

HEADER = "HTTP_X_FORWARDED_FOR"
UNKNOWN = "unknown"
PORT = r"(?::(?:\d{1,5}|_[\w.-]+))?"
# A node of RFC 7239 §6: an IPv4 address, or an IPv6 address in brackets, each with or without a port. Some proxies write an
# IPv6 address without brackets, or append the port to all eight groups of it.
NODE = re.compile(
    rf"(?P<v4>[\d.]+){PORT}|\[(?P<v6>[^\[\]]+)\]{PORT}|(?P<groups>[0-9a-f]{{1,4}}(?::[0-9a-f]{{1,4}}){{7}}):\d{{1,5}}|(?P<bare>.+)",
    re.ASCII | re.IGNORECASE,
)
OBFUSCATED = re.compile(r"_[\w.-]{1,63}", re.ASCII)


def client_identity(request: HttpRequest | Request) -> str:
    """Return the rate-limit identity of an anonymous client: its IPv4 address, or its IPv6 /64 network (one household).

    Clients whose address a trusted proxy does not give share the identity "ip:unknown", which is never that of an address.
    """
    ip = client_ip(request)
    return f"ip:{ip_network((ip, 64), strict=False) if ':' in ip else ip}"


def client_ip(request: HttpRequest | Request) -> str:
    """Return the client's address: the n-th from the right of X-Forwarded-For behind n trusted proxies, else the peer's.

    Clients can send that header themselves, so it is ignored without trusted proxies. Behind trusted proxies it decides: the
    result is "unknown" if the n-th element is missing or no address, because the peer is then a proxy and not the client; an
    obfuscated identifier ("_hidden", RFC 7239 §6.3) stays as it is. Only a request without the header, which came through no
    proxy, has the address of its peer.
    """
    forwarded = request.META.get(HEADER, "").strip()
    proxies = settings.TRUSTED_PROXIES
    if proxies <= 0 or not forwarded:
        return normalized_address(request.META.get("REMOTE_ADDR", "")) or UNKNOWN
    # From the right, where the trusted proxies append. A quoted string is not parsed across commas: a client could open one.
    elements = forwarded.rsplit(",", proxies)[-proxies:]
    return parsed_node(elements[0]) if len(elements) == proxies else UNKNOWN


@lru_cache(maxsize=4096)
def parsed_node(element: str) -> str:
    """Return the address in one element of X-Forwarded-For, its obfuscated identifier, or "unknown"."""
    node = element.strip(" \t")
    if len(node) > 2 and node.startswith('"') and node.endswith('"'):
        node = node[1:-1]
    if OBFUSCATED.fullmatch(node):
        return node
    match = NODE.fullmatch(node)
    return (match and normalized_address(match[match.lastgroup or 0])) or UNKNOWN


@lru_cache(maxsize=4096)
def normalized_address(text: str) -> str:
    """Return the address in its canonical form, without a zone, or an empty string if the text is not an address."""
    try:
        ip = ip_address(text.strip(" \t"))
    except ValueError:
        return ""
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(ip.packed))
    return str(ip)
