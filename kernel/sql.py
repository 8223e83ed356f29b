"""SQL that several modules share: arrays as text, and the registry of advisory-lock keys."""

from collections.abc import Iterable
from uuid import UUID


def uuid_array(ids: Iterable[UUID]) -> str:
    """Return PostgreSQL's text for an array of UUIDs: to be sent as `%s::uuid[]`, in a fraction of the time a list takes."""
    return f"{{{','.join(map(str, ids))}}}"


# The one registry of advisory locks: every key of this project stands here, so that no two mean different things.
# A claim: one user's claims in one pool, one after the other. The claim trigger takes the same lock.
USER_IN_POOL_LOCK = "hashtextextended({pool}::text || {user}::text, 0)"
# An export: one at a time for all processes of the database.
EXPORT_LOCK = "hashtextextended('accounts.expensive_reads.export', 0)"
