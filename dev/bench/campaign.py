"""The users, pools and claims of a measurement over HTTP, and the totals that the ledger must show in the end."""

import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection

from accounts.models import User
from accounts.tokens import issue_pair
from dev.bench import load, pgbench
from dev.bench.environment import DISTURBANCES, BenchEnvironment, RoundDisturbed
from dev.race.fixture import VALUE, issue_credits
from wallet.actions import edit_pool, seal_ledger
from wallet.assets.models import CreditPool, PoolKind
from wallet.ledger.models import Entry
from wallet.verification.checker import snapshot_connection, verify_everything

CONNECTIONS, USERS = 32, 1_000
STAMPEDE_USERS = 500


@dataclass
class Campaign:
    """Users with their tokens, pools as they are needed, and the totals that the ledger must show in the end."""

    tokens: Sequence[str]
    issued: dict[tuple[object, str], tuple[int, object]] = field(default_factory=dict)
    claims: int = 0
    idle: float = 1.0

    def open_pool(self, size: int) -> CreditPool:
        """Open a pool with that many credits."""
        pool = edit_pool.open_pool(None, name=f"Pool {len(self.issued)}", kind=PoolKind.PROMOTION, currency="INR")
        issue_credits(pool, size)
        self.issued[pool.pk, "INR"] = (size, size * VALUE)
        connection.close()
        return pool

    def send_claims(
        self, port: int, requests: list[bytes], connections: int, expected: Callable[[Counter[int]], bool]
    ) -> load.LoadResult:
        """Send requests and count the claims.

        Raises RoundDisturbed when some were answered 503, RuntimeError when the statuses are otherwise not as expected.
        """
        with self.recount_when_disturbed():
            result = load.send_all(port, requests, connections)
            statuses = Counter(response.status for response in result.responses)
            if statuses[503]:
                raise RoundDisturbed(f"{statuses[503]} of {statuses.total()} requests answered 503")
        if not expected(statuses):
            raise RuntimeError(f"unexpected statuses: {dict(statuses)}")
        self.claims += statuses[201]
        self.idle = min(self.idle, result.idle)
        return result

    @contextmanager
    def recount_when_disturbed(self) -> Iterator[None]:
        """Take the number of claims from the ledger when some answers were lost: nothing else knows which committed."""
        try:
            yield
        except DISTURBANCES:
            self.claims = Entry.objects.count()
            connection.close()
            raise

    def claim_each(self, port: int, size: int) -> load.LoadResult:
        """Claim every credit of a new pool by its id."""
        targets = self.open_pool(size).assets.values_list("pk", flat=True)
        requests = [
            load.build_request("POST", f"/api/v1/assets/{target}/claim/", token)
            for target, token in zip(targets, itertools.cycle(self.tokens), strict=False)
        ]
        connection.close()
        return self.send_claims(port, requests, CONNECTIONS, lambda statuses: statuses == {201: size})

    def claim_any(self, port: int, size: int, connections: int = CONNECTIONS) -> load.LoadResult:
        """Claim every credit of a new pool from the pool, each request with a key."""
        path = f"/api/v1/pools/{self.open_pool(size).pk}/claim/"
        requests = [
            load.build_request("POST", path, token, Idempotency_Key=secrets.token_hex(16))
            for token in itertools.islice(itertools.cycle(self.tokens), size)
        ]
        return self.send_claims(port, requests, connections, lambda statuses: statuses == {201: size})

    def stampede(self, port: int, credits_: int) -> load.LoadResult:
        """Have 500 users claim the same credit, one credit after the other."""
        targets = self.open_pool(credits_).assets.values_list("pk", flat=True)
        requests = [
            load.build_request("POST", f"/api/v1/assets/{target}/claim/", token)
            for target in targets
            for token in self.tokens[:STAMPEDE_USERS]
        ]
        connection.close()
        right = {201: credits_, 409: credits_ * (STAMPEDE_USERS - 1)}
        return self.send_claims(port, requests, STAMPEDE_USERS, lambda statuses: statuses == right)

    def me(self, port: int, count: int) -> load.LoadResult:
        """Send GET auth/me/ as the same 500 users."""
        tokens = itertools.islice(itertools.cycle(self.tokens[:STAMPEDE_USERS]), count)
        requests = [load.build_request("GET", "/api/v1/auth/me/", token) for token in tokens]
        return load.send_all(port, requests, STAMPEDE_USERS)

    def by_pgbench(self, script: str, size: int) -> float:
        """Claim the credits of a new pool with pgbench, and return the claims a second."""
        size -= size % CONNECTIONS  # each of its clients makes as many
        with self.recount_when_disturbed():
            rate = pgbench.claims_a_second(script, self.open_pool(size), size, CONNECTIONS)
        self.claims += size
        return rate

    def check(self) -> None:
        """Run the checker over all claims; raise RuntimeError when it finds a violation."""
        pgbench.delete_keys()
        seal_ledger.seal_all()
        with snapshot_connection() as reader:
            found = verify_everything(reader, None, self.issued)  # type: ignore[arg-type]
            with reader.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM ledger_entry")
                entries = cursor.fetchone()[0]
        if found or entries != self.claims:
            raise RuntimeError(f"{entries} entries, {self.claims} claims; {found[:3]}")


def create_campaign(environment: BenchEnvironment) -> Campaign:
    """Make a fresh database with users in it."""
    environment.fresh_database("claims")
    users = User.objects.bulk_create(User(email=f"claimer{number}@example.com") for number in range(USERS))
    return Campaign([issue_pair(user).access for user in users])
