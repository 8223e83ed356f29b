"""SQL that several modules share: arrays as text, and the registry of advisory-lock keys."""

from collections.abc import Iterable
from uuid import UUID


def uuid_array(ids: Iterable[UUID]) -> str:
    """Return the UUIDs as the text of a PostgreSQL array, for `%s::uuid[]`: much faster than adapting a list."""
    return f"{{{','.join(map(str, ids))}}}"


# The one registry of advisory-lock keys. A lock is taken by a constant of this module and by nothing else
# (tests/database/test_advisory_locks.py), so that no two purposes share a key. A retired key is not used again: sessions of an
# earlier release may hold it.

# Serializes one user's claims in one pool. {pool} and {user} are SQL for their ids.
USER_IN_POOL_LOCK = "hashtextextended({pool}::text || {user}::text, 0)"
# Serializes `manage.py schedule_tasks`: the name of a schedule is not unique in its table.
SCHEDULE_TASKS_LOCK = "hashtext('wallet.schedule_tasks')"
# Serializes `manage.py seed`, which runs several transactions.
DEMO_DATA_LOCK = "hashtext('wallet.actions.demo_data')"
# Serializes the movements of one wallet: a user's credits in one currency. {user} and {currency} are SQL.
WALLET_LOCK = "hashtextextended({user}::text || {currency}::text, 1)"
# Serializes issues in one pool that has a budget. {pool} is SQL for its id.
POOL_BUDGET_LOCK = "hashtextextended({pool}::text, 3)"
# Serializes the claims that open scheduled credits of one pool. {pool} is SQL for its id.
POOL_OPENING_LOCK = "hashtextextended({pool}::text, 4)"
# Keeps an idempotency key single over the weeks. {user}, {route} and {key} are SQL.
IDEMPOTENCY_KEY_LOCK = "hashtextextended({user}::text || {route} || ' ' || {key}, 2)"
# Retired: sealers took it before a unique constraint kept them apart.
RETIRED_SEALERS_LOCK = "24225"
# Serializes exports: one at a time for all processes of the database.
EXPORT_LOCK = "hashtextextended('accounts.expensive_reads.export', 0)"
