"""HTTP to addresses that others have chosen: public ones only, bounded in time and size, without redirects.

The name is resolved here, each address is checked, and the connection goes to a checked address: a second resolution, which
might return another one, does not happen. requests-hardened does as much; it has no limit for a whole exchange, so that a
receiver that sends a byte a second holds it for ever, and it follows the environment's proxies. See ADR 29.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from time import monotonic
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from wallet.delivery.models import MAX_EXCERPT, MAX_URL_LENGTH

CONNECT_SECONDS = 3.0
MAX_ADDRESSES = 3  # of one name that are tried
# Of IPv6, hosts of the public internet are in one network. In it these are not: Teredo and other protocols, documentation, and
# 6to4, which leads to IPv4 addresses.
GLOBAL_UNICAST = ip_network("2000::/3")
NOT_PUBLIC = [ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "192.88.99.0/24")]
CONTEXT = ssl.create_default_context()


class AddressRefused(OSError):
    """The name does not lead to a public address."""


class Response(NamedTuple):
    """What a receiver answered: the HTTP status and the beginning of the body."""

    status: int
    excerpt: str


def checked_url(url: str, *, private: bool) -> SplitResult:
    """Return the parts of a URL; raise ValidationError unless a webhook may be sent to it. The name is not resolved.

    Arguments:
        private: whether http:// is allowed.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (raises ValueError)
    except ValueError:
        parts = urlsplit("")
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL_LENGTH
    if not plain or not is_host(parts.hostname) or parts.scheme not in ("http", "https"):
        raise ValidationError(_("Enter the full URL of the receiver, such as https://shop.example/webhooks."), code="url")
    if parts.scheme == "http" and not private:
        raise ValidationError(_("Use https://. Webhooks are sent over encrypted connections only."), code="https")
    if parts.username is not None or parts.fragment:
        raise ValidationError(_("Leave user name, password and fragment out of the URL."), code="url")
    if not private:
        check_numeric_host(parts.hostname or "")
    return parts


def is_host(name: str | None) -> bool:
    """Return whether a name can be looked up: none of its labels is empty or longer than 63 characters."""
    try:
        return bool(name and name.encode("idna"))
    except UnicodeError:
        return False


def is_public(text: str) -> bool:
    """Return whether an IP address is that of one host of the public internet."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    is_host = address.is_global and not (address.is_multicast or address.is_reserved)
    return is_host and not any(address in network for network in NOT_PUBLIC)


def resolve(host: str, port: int, *, private: bool) -> list[str]:
    """Return the addresses of a host. Raises AddressRefused when one of them is not public, and OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(row[4][0]) for row in found))
    if not private and not all(map(is_public, addresses)):
        raise AddressRefused("The receiver's name leads to a private address.")
    return addresses


def check_numeric_host(host: str) -> None:
    """Raise ValidationError for a host that is written as a private address, in whatever notation; names are not resolved."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return
    if not all(is_public(str(row[4][0])) for row in found):
        raise ValidationError(_("Webhooks are sent to public addresses only."), code="private_address")


class PinnedConnection(http.client.HTTPConnection):
    """A connection to a checked address of the host; with TLS the certificate must be the host's."""

    def __init__(self, url: SplitResult, timeout: float, *, private: bool) -> None:
        self.uses_tls, self.private = url.scheme == "https", private
        super().__init__(url.hostname or "", url.port or (443 if self.uses_tls else 80), timeout=timeout)
        self.default_port = 443 if self.uses_tls else 80
        self.deadline = monotonic() + timeout
        # The socket of the current exchange. HTTPConnection forgets its own before the body of a last response is read.
        self.exchange: socket.socket | None = None

    def remaining(self) -> float:
        """Return the seconds left of the exchange. Raises TimeoutError."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def connect(self) -> None:
        """Resolve, check and connect to the first address that answers. Raises OSError."""
        failure: OSError = OSError("no address")
        for address in resolve(self.host, self.port, private=self.private)[:MAX_ADDRESSES]:
            try:
                self.sock = socket.create_connection((address, self.port), min(CONNECT_SECONDS, self.remaining()))
                break
            except OSError as error:
                failure = error
        else:
            raise failure
        self.sock.settimeout(self.remaining())
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.uses_tls:
            self.sock = CONTEXT.wrap_socket(self.sock, server_hostname=self.host)
        self.exchange = self.sock


class GuardedClient:
    """Sends requests to one URL over one connection, which is kept between them.

    Arguments:
        timeout: the most seconds of one request, from connecting to the end of the response.
        private: whether http:// and private addresses are allowed.
    """

    def __init__(self, url: str, timeout: float, *, private: bool) -> None:
        parts = checked_url(url, private=private)
        self.target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        self.connection = PinnedConnection(parts, timeout, private=private)
        self.timeout = timeout

    def post(self, body: str, headers: dict[str, str]) -> Response:
        """Send one message. Raises OSError and http.client.HTTPException when there is no whole response in time."""
        self.connection.deadline = monotonic() + self.timeout
        clock = threading.Timer(self.timeout, self.cut)
        clock.daemon = True
        clock.start()
        try:
            self.connection.request("POST", self.target, body.encode(), headers)
            response = self.connection.getresponse()
            excerpt = response.read(MAX_EXCERPT)
            self.connection.remaining()  # a body that was cut off ends like one that has no length
            if not response.isclosed():  # more than anybody reads: the rest must not be taken for the next response
                self.connection.close()
        except BaseException as error:
            self.connection.close()
            if isinstance(error, TimeoutError) or monotonic() >= self.connection.deadline:
                raise TimeoutError("The receiver took too long.") from error
            if isinstance(error, ValueError):  # http.client's own, for numbers that are none
                raise http.client.HTTPException from error
            raise
        finally:
            clock.cancel()
        return Response(response.status, readable(excerpt))

    def cut(self) -> None:
        """End the request of the other thread: a receiver that sends slowly reaches no time limit of the socket."""
        if self.connection.exchange is not None:
            with contextlib.suppress(OSError):
                self.connection.exchange.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def readable(body: bytes) -> str:
    """Return the beginning of a response as printable text."""
    text = body.decode("utf-8", "replace")
    return "".join(character if character.isprintable() else " " for character in text)
