"""The plan of a race."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """One race: first all users at each credit in turn, then some of them at a pool until it is empty.

    `limit` is how many credits of the pool one user may claim (None: any number), `tries` how often each of the `drainers`
    asks. `connections` is how many clients ask at the same time. The same `seed` gives the same order of requests.
    """

    users: int
    credits: int
    pool: int
    limit: int | None
    tries: int
    drainers: int
    connections: int
    seed: int
    http: bool = False
    without_lock: bool = False

    @property
    def drained(self) -> int:
        """How many credits of the pool must be claimed in the end."""
        return min(self.pool, self.drainers * min(self.tries, self.limit or self.tries))

    @property
    def rounds(self) -> int:
        """How many times all clients are released at once."""
        return self.credits + 1


def default_plan(
    users: int, credits_: int, connections: int, seed: int, *, http: bool = False, without_lock: bool = False
) -> Plan:
    """Return the plan of prove_claims: two credits of the pool for each user, who asks three times."""
    return Plan(users, credits_, 2 * users, 2, 3, users, min(users, connections), seed, http, without_lock)
