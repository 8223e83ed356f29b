"""An operator who issues credits and searches for each at once: nobody misses what they just wrote, also from a replica."""

import contextlib
import http.client
import json
import threading
import time
from types import TracebackType
from typing import Any

from accounts.models import Role, User
from accounts.tokens import issue_pair
from dev.cluster.clients import ANSWER_SECONDS, FORWARDED
from dev.cluster.hosts import WEB_PORT
from dev.cluster.network import ADDRESSES, WEBS

CREDITS = "/api/v1/assets/"
POSITION = "X-Wallet-Position"  # of the sender's last write; 0/0 at first
PAUSE_SECONDS = 0.3


class OwnReads:
    """One thread; a context manager. `pairs` counts writes that were searched for, `stale` those that were not found."""

    def __init__(self, seed: int) -> None:
        operator = User.objects.create_user(f"operator{seed}@example.com", None, role=Role.ADMIN)
        self.headers = {**FORWARDED, "Authorization": f"Bearer {issue_pair(operator).access}", POSITION: "0/0"}
        self.pairs = self.stale = self.turn = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> "OwnReads":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.over.set()
        self.thread.join()

    def run(self) -> None:
        """Write and search until the end, whatever fails."""
        while not self.over.wait(PAUSE_SECONDS):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self.write_and_search(f"Own read {time.time_ns()}")

    def write_and_search(self, title: str) -> None:
        """Issue a credit at one web host and search for it at the other."""
        credit = {"title": title, "total_value": "1.00", "currency": "INR"}
        status, _ = self.ask("POST", CREDITS, credit)
        if status != http.client.CREATED:
            return
        status, found = self.ask("GET", f"{CREDITS}?search={title.replace(' ', '%20')}")
        if status == http.client.OK:
            self.pairs += 1
            self.stale += title not in [row["title"] for row in found["results"]]

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a request to the next web host with the position of the last write; return status and body."""
        self.turn += 1
        host = ADDRESSES[WEBS[self.turn % len(WEBS)]]
        with contextlib.closing(http.client.HTTPConnection(host, WEB_PORT, timeout=ANSWER_SECONDS)) as connection:
            connection.request(method, path, body and json.dumps(body), {**self.headers, "Content-Type": "application/json"})
            response = connection.getresponse()
            self.headers[POSITION] = response.headers.get(POSITION, self.headers[POSITION])
            return response.status, json.loads(response.read())
