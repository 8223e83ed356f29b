"""Slow peers: hundreds of connections that send half a request, read no response or are silent, while clients claim."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType

from dev.chaos.experiment import Experiment, Outcome, RunningLoad, under_load
from dev.chaos.redis_faults import Span, measure_span
from dev.race import web_server
from wallet.verification.checker import Violation
from wallet.verification.claim_log import Attempt

PEERS = 500
LEAST_RATIO = 0.7  # of the claims a second without slow peers
ENOUGH = 1_000  # claims on either side: the rate of fewer is unreliable
ROUND_SECONDS = 2.0
AGAIN_SECONDS = 15  # after this time a peer reconnects: the server has closed its connection
CONNECT_SECONDS = 30
SETTLING_SECONDS = 1  # until all peers have received their responses
LARGE = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"


def peer_request(method: str, path: str, *headers: str) -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode()


@dataclass
class Peer:
    """One slow connection: the bytes it sends first, the bytes it sends later, one a second, and whether it reads."""

    first: bytes
    later: bytes = b""
    reads: bool = True
    sock: socket.socket = field(default_factory=socket.socket, repr=False)
    since: float = 0.0

    def connect(self, port: int) -> None:
        """Open the connection (again) and send the first bytes."""
        self.sock.close()
        self.sock = socket.socket()
        if not self.reads:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect((web_server.HOST, port))
        self.sock.sendall(self.first)
        self.sock.setblocking(False)
        self.since = time.monotonic()

    def trickle(self) -> None:
        """Send the next byte, if there is one and the connection is open."""
        if self.later:
            with contextlib.suppress(OSError):
                self.sock.send(self.later[:1])
                self.later = self.later[1:] + self.later[:1]


JSON_BODY = ("Content-Type: application/json", "Content-Length: 1000")
KINDS: dict[str, Callable[[], Peer]] = {
    "half a head": lambda: Peer(b"G"),
    "half a body": lambda: Peer(peer_request("POST", "/api/v1/auth/token/", *JSON_BODY) + b"{"),
    "a head, a byte a second": lambda: Peer(b"GET /healthz HTTP/1.1\r\nHost: ", later=b"x"),
    "a body, a byte a second": lambda: Peer(peer_request("POST", "/api/v1/auth/token/", *JSON_BODY), later=b" "),
    "a body too large, never sent": lambda: Peer(peer_request("POST", "/api/v1/auth/token/", "Content-Length: 9000000")),
    "an answer never read": lambda: Peer(10 * peer_request("GET", LARGE), reads=False),
    "a request, then silence": lambda: Peer(peer_request("GET", "/healthz")),
    "nothing at all": lambda: Peer(b""),
}


class Peers:
    """Many slow peers and the thread that operates them; a context manager."""

    def __init__(self, port: int, peers: list[Peer], again: float = AGAIN_SECONDS) -> None:
        """Prepare the peers.

        Arguments:
            again: the seconds after which a peer reconnects.
        """
        self.port, self.peers, self.again = port, peers, again
        self.opened = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.keep)

    def __enter__(self) -> "Peers":
        for peer in self.peers:
            self.open(peer)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        self.thread.join()
        for peer in self.peers:
            peer.sock.close()

    def open(self, peer: Peer) -> None:
        """Connect a peer, if the server accepts it."""
        with contextlib.suppress(OSError):
            peer.connect(self.port)
            self.opened += 1

    def keep(self) -> None:
        """Send a byte a second, and reconnect peers after `again` seconds."""
        while not self.over.wait(1):
            for peer in self.peers:
                peer.trickle()
                if time.monotonic() - peer.since > self.again:
                    self.open(peer)


def mixed_peers(count: int) -> list[Peer]:
    """Return `count` peers, evenly distributed over the kinds."""
    kinds = list(KINDS.values())
    return [kinds[number % len(kinds)]() for number in range(count)]


def slow_peers(experiment: Experiment) -> Outcome:
    """T25: 500 slow peers connect, stay and reconnect; the rate of claims stays about the same."""
    calm, slow = list[Span](), list[Span]()

    def inject(load: RunningLoad) -> int:
        opened = 0
        time.sleep(experiment.seconds / 10)  # the first requests wait for connections
        for seconds in alternate_rounds(experiment.seconds):
            calm.append(measure_span(seconds))
            with Peers(load.web.port, mixed_peers(PEERS)) as peers:
                time.sleep(SETTLING_SECONDS)
                slow.append(measure_span(seconds))
            opened += peers.opened
        return opened

    return compare_claim_rates(under_load(experiment, inject), calm, slow)


def alternate_rounds(seconds: float) -> Iterator[float]:
    """Yield the length of each span: a short run has two of each kind, a long one as many as fit."""
    count = max(2, int(seconds / (2 * ROUND_SECONDS) / 5))
    yield from [seconds / (2 * count)] * count


def compare_claim_rates(outcome: Outcome, calm: list[Span], slow: list[Span]) -> Outcome:
    """Add the claims a second with and without slow peers, and a violation when there are enough to judge."""
    (few, before), (many, during) = count_claims(outcome.log, calm), count_claims(outcome.log, slow)
    ratio = during / before if before else 0.0
    note = f"{during:,.0f} claims/s with {PEERS} slow peers, {before:,.0f} without: {ratio:.2f}"
    if min(few, many) < ENOUGH:
        return outcome.with_note(f"{note} (too few to judge)")
    if ratio < LEAST_RATIO:
        outcome.violations.append(
            Violation("time", f"the rate with slow peers is {ratio:.2f} of that without, below {LEAST_RATIO}")
        )
    return outcome.with_note(note)


def count_claims(log: list[Attempt], spans: list[Span]) -> tuple[int, float]:
    """Return the number of claims answered within the spans, and their rate."""
    count = sum(any(begun <= attempt.ended < ended for begun, ended in spans) for attempt in log if attempt.outcome == "ok")
    return count, count / sum(ended - begun for begun, ended in spans)
