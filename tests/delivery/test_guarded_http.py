"""Webhooks go to public addresses only, whatever a URL or a name says, and no receiver holds a worker for long."""

import http.client
import socket
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from dev.chaos.webhook_receiver import Receiver
from wallet.delivery import guarded_http
from wallet.delivery.guarded_http import AddressRefused, GuardedClient, checked_url, is_public
from wallet.delivery.messages import failure_text

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",  # metadata of clouds
    "100.64.0.1",  # carrier NAT
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata of clouds
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "::ffff:8.8.8.8", "2001:4860:4860::8888", "2a00:1450:4001:81b::200e"]
# Other ways to write an address that resolvers understand.
NOTATIONS = ["2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "127.1", "0", "[::ffff:7f00:1]", "[::1]"]
NAMES = {"rebound.example": ["127.0.0.1"], "mixed.example": ["93.184.216.34", "10.0.0.1"], "six.example": ["fd00::1"]}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let names of NAMES resolve to their addresses, as their owner's DNS would; return the names that are asked for."""
    real, asked = socket.getaddrinfo, list[str]()

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in NAMES or options.get("flags"):
            return real(host, port, *args, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in NAMES[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", [*NOTATIONS, *(f"[{host}]" if ":" in host else host for host in PRIVATE if "%" not in host)])
def test_a_private_address_is_refused_in_every_notation_when_a_webhook_is_added(host: str) -> None:
    with pytest.raises(ValidationError):
        checked_url(f"https://{host}/", private=False)


@pytest.mark.parametrize("host", [*NAMES, "localhost", *NOTATIONS])
def test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_resolved(host: str, names: list[str]) -> None:
    with pytest.raises(AddressRefused):
        guarded_http.resolve(host.strip("[]"), 443, private=False)


def test_no_connection_is_opened_to_a_private_address(names: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        url = f"https://rebound.example:{listener.getsockname()[1]}/"
        with pytest.raises(AddressRefused):
            GuardedClient(url, 1, private=False).post("{}", {})
        with pytest.raises(TimeoutError):
            listener.accept()


def test_the_name_is_resolved_once_and_the_connection_goes_to_the_address_that_was_checked(
    start_receiver: Callable[..., Receiver], names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves to another address the second time is not asked a second time."""
    receiver = start_receiver()
    port = receiver.url.split(":")[2].split("/")[0]
    connected: list[Any] = []
    real = socket.create_connection

    def connect(address: Any, *rest: Any) -> socket.socket:
        connected.append(address)
        return real(address, *rest)

    monkeypatch.setattr(socket, "create_connection", connect)

    answer = GuardedClient(f"http://rebound.example:{port}/", 1, private=True).post("{}", {})

    assert (answer.status, names, connected) == (200, ["rebound.example"], [("127.0.0.1", int(port))])
    assert receiver.received == [{}]


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data/", "http://127.0.0.1/", "https://shop.example/"])
def test_redirects_are_not_followed(target: str, start_receiver: Callable[..., Receiver]) -> None:
    receiver = start_receiver(answer=lambda: 302, headers={"Location": target})

    answer = GuardedClient(receiver.url, 1, private=True).post("{}", {})

    assert (answer.status, receiver.requests) == (302, 1)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example/hooks",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "https://",
        "https://user:secret@shop.example/",
        "https://shop.example/#part",
        "https://shop.example:99999/",
        "https://shop.example/a b",
        "https://shop.example/\nHost: other",
        "https://bücher.example/",
        "https://a..b/",
        f"https://{'a' * 64}.example/",
        f"https://shop.example/{'x' * 500}",
    ],
)
def test_urls_that_cannot_be_sent_to_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        checked_url(url, private=True)


def test_plain_http_is_for_local_mode_only() -> None:
    with pytest.raises(ValidationError):
        checked_url("http://shop.example/", private=False)
    assert checked_url("http://shop.example/", private=True).hostname == "shop.example"


def serve_slowly(listener: socket.socket, parts: list[bytes]) -> None:
    """Answer one request a byte at a time."""
    with listener.accept()[0] as taken:
        taken.recv(65536)
        try:
            for part in parts:
                taken.sendall(part)
                time.sleep(0.1)
        except OSError:
            pass


def test_a_receiver_that_sends_a_byte_now_and_then_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve_slowly, args=(listener, [b"H"] * 100), daemon=True).start()
        client = GuardedClient(f"http://127.0.0.1:{listener.getsockname()[1]}/", 0.5, private=True)
        started = time.monotonic()

        with pytest.raises(TimeoutError):
            client.post("{}", {})

        assert time.monotonic() - started < 1.5


def test_a_body_that_comes_a_byte_at_a_time_on_a_closing_connection_is_cut_off() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve_slowly, args=(listener, [head] + [b"x"] * 100), daemon=True).start()
        client = GuardedClient(f"http://127.0.0.1:{listener.getsockname()[1]}/", 0.5, private=True)
        started = time.monotonic()

        with pytest.raises(TimeoutError):
            client.post("{}", {})

        assert time.monotonic() - started < 3


def test_a_response_with_impossible_numbers_is_no_response() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve_slowly, args=(listener, [chunked]), daemon=True).start()

        with pytest.raises(http.client.HTTPException):
            GuardedClient(f"http://127.0.0.1:{listener.getsockname()[1]}/", 2, private=True).post("{}", {})


def test_a_long_response_is_not_read_to_its_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
        threading.Thread(target=serve_slowly, args=(listener, [head + b"x" * 5000]), daemon=True).start()

        answer = GuardedClient(f"http://127.0.0.1:{listener.getsockname()[1]}/", 2, private=True).post("{}", {})

    assert (answer.status, answer.excerpt) == (200, "x" * 500)


def test_control_characters_of_a_response_are_blanked() -> None:
    assert guarded_http.readable(b"\x1b[31mred\x00\xff") == " [31mred �"


@pytest.mark.parametrize(
    ("url", "answer", "text"),
    [
        ("http://no-such-host.invalid:{port}/", None, "The receiver's name was not found."),
        ("http://127.0.0.1:{port}/", None, "The receiver refused the connection."),
        ("http://127.0.0.1:{port}/", b"", "The receiver closed the connection."),
        ("http://127.0.0.1:{port}/", b"220 mail.example ready\r\n", "The receiver does not speak HTTP."),
        ("https://127.0.0.1:{port}/", b"HTTP/1.1 200 OK\r\n\r\n", "The receiver does not speak TLS as expected."),
    ],
)
def test_a_log_says_in_words_why_there_was_no_response(url: str, answer: bytes | None, text: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if answer is not None:
            threading.Thread(target=serve_slowly, args=(listener, [answer]), daemon=True).start()
        else:
            listener.close()

        with pytest.raises((OSError, HTTPException)) as refused:
            GuardedClient(url.format(port=port), 5, private=True).post("{}", {})

    assert failure_text(refused.value) == text
