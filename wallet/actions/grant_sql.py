"""The SQL of a bulk grant: find users and earlier grants, lock users and read allowances, then claim and record in one trip."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from kernel.sql import USER_IN_POOL_LOCK, uuid_array
from wallet.actions.claim_sql import SELECT_ALLOWANCES, WANTED_IN_POOLS, ClaimAllowance, allowances_by_key, fetch_results
from wallet.actions.grant_lines import EarlierGrant, NamedUser
from wallet.assets.claim_rules import CLAIMABLE_SQL, QUEUE_ORDER_SQL

FIND_USERS = """\
SELECT id, id, is_active FROM accounts_user WHERE id = ANY(%(ids)s::uuid[])
"""
FIND_EMAILS = """\
SELECT email, id, is_active FROM accounts_user WHERE email = ANY(%(emails)s::text[])
"""
EARLIER_GRANTS = """\
SELECT reference, fingerprint, entry_id FROM ledger_grant
WHERE service_id {service} AND reference = ANY(%(references)s::text[])
"""
# In one order, so that two bulk grants do not deadlock; the claim trigger then takes locks that are held already.
LOCK_USERS = f"""\
SELECT pg_advisory_xact_lock({USER_IN_POOL_LOCK.format(pool="%(pool)s::uuid", user="person.id")})
FROM (SELECT DISTINCT id FROM unnest(%(users)s::uuid[]) AS wanted (id) ORDER BY id) AS person
"""  # noqa: S608  (constants)
READ_ALLOWANCES = SELECT_ALLOWANCES.format(lock_acquired="true", wanted=WANTED_IN_POOLS)
# Each line gets the next credit, the one that expires soonest first. The claim trigger decides each claim as any other.
GRANT_CREDITS = f"""\
WITH line AS (
    SELECT * FROM unnest(%(entries)s::uuid[], %(users)s::uuid[], %(references)s::text[], %(fingerprints)s::text[])
        WITH ORDINALITY AS line (entry_id, user_id, reference, fingerprint, place)
), credit AS (
    SELECT id, row_number() OVER () AS place FROM (
        SELECT id FROM assets_cashbackasset
        WHERE pool_id = %(pool)s::uuid AND {CLAIMABLE_SQL}
        ORDER BY {QUEUE_ORDER_SQL} LIMIT %(count)s FOR NO KEY UPDATE SKIP LOCKED
    ) AS locked
), claimed AS (
    UPDATE assets_cashbackasset AS asset SET status = 'CLAIMED', claimed_by_id = line.user_id
    FROM credit JOIN line ON line.place = credit.place WHERE asset.id = credit.id
    RETURNING line.entry_id, line.reference, line.fingerprint, asset.id, asset.claimed_by_id, asset.total_value, asset.currency,
        asset.claimed_at, asset.spendable_from, asset.spendable_until
), entered AS (
    INSERT INTO ledger_entry
        (id, kind, asset_id, user_id, amount, currency, claimed_at, spendable_from, spendable_until, actor_id)
    SELECT entry_id, 'CLAIM', id, claimed_by_id, total_value, currency, claimed_at, spendable_from, spendable_until,
        coalesce(%(actor)s::uuid, claimed_by_id)
    FROM claimed ORDER BY entry_id
)
INSERT INTO ledger_grant (entry_id, service_id, actor_id, reference, reason, fingerprint)
SELECT entry_id, %(service)s::uuid, %(actor)s::uuid, reference, %(reason)s, fingerprint FROM claimed ORDER BY reference
RETURNING entry_id
"""  # noqa: S608  (constants)
# Whether the pool's next credits, so many, are worth more than its approval threshold, with those that start by now.
NEEDS_APPROVAL = f"""\
SELECT EXISTS (
    SELECT FROM assets_creditpool AS pool WHERE pool.id = %(pool)s::uuid
        AND pool.approval_threshold IS NOT NULL AND pool.approval_threshold < (
        SELECT sum(total_value) FROM (
            (SELECT total_value FROM assets_cashbackasset
            WHERE pool_id = pool.id AND {CLAIMABLE_SQL}
            ORDER BY {QUEUE_ORDER_SQL} LIMIT %(count)s)
            UNION ALL
            (SELECT total_value FROM assets_cashbackasset
            WHERE pool_id = pool.id AND status = 'SCHEDULED' AND claimable_from <= statement_timestamp()
            ORDER BY claimable_from, id LIMIT %(count)s)
            LIMIT %(count)s
        ) AS next
    )
)
"""  # noqa: S608  (constants)


class NewGrant(NamedTuple):
    """A grant to record: the id of its entry, its user, reference and fingerprint."""

    entry_id: UUID
    user_id: UUID
    reference: str
    fingerprint: str


def find_users_and_grants(
    names: Sequence[UUID | str], references: Sequence[str], service_id: UUID | None
) -> tuple[dict[UUID | str, NamedUser], dict[str, EarlierGrant]]:
    """Return the users by the names they have here, and the service's (None: nobody's) earlier grants by reference."""
    same_service = "IS NULL" if service_id is None else "= %(service)s::uuid"
    parameters = {
        "ids": uuid_array(name for name in names if isinstance(name, UUID)),
        "emails": [name for name in names if isinstance(name, str)],
        "references": list(references),
        "service": service_id,
    }
    statements = (FIND_USERS, FIND_EMAILS, EARLIER_GRANTS.format(service=same_service))
    by_id, by_email, grants = fetch_results(";\n".join(statements), parameters)
    users = {name: NamedUser(user_id, is_active) for name, user_id, is_active in (*by_id, *by_email)}
    return users, {reference: EarlierGrant(digest, entry_id) for reference, digest, entry_id in grants}


def lock_and_read_allowances(pool_id: UUID, users: Sequence[UUID], *, lock: bool) -> dict[UUID, ClaimAllowance]:
    """Return the users' allowances in the pool; with `lock` wait for their claims there and keep others out to the commit."""
    parameters = {"pool": pool_id, "users": uuid_array(users), "targets": uuid_array([pool_id] * len(users))}
    sql = f"{LOCK_USERS};\n{READ_ALLOWANCES}" if lock else READ_ALLOWANCES
    allowances = allowances_by_key(fetch_results(sql, parameters)[-1])
    return {user_id: allowance for (_pool, user_id), allowance in allowances.items()}


def lock_users_in_pool(pool_id: UUID, users: Sequence[UUID]) -> None:
    """Wait for the users' claims in the pool, and keep others out to the commit."""
    fetch_results(LOCK_USERS, {"pool": pool_id, "users": uuid_array(users)})


def needs_approval(pool_id: UUID, count: int) -> bool:
    """Return whether that many grants from the pool would together be worth more than its approval threshold."""
    return bool(fetch_results(NEEDS_APPROVAL, {"pool": pool_id, "count": count})[0][0][0])


def grant_credits(
    pool_id: UUID, grants: Sequence[NewGrant], *, reason: str, actor_id: UUID | None, service_id: UUID | None
) -> set[UUID]:
    """Claim a credit of the pool for each grant, as far as there are some, and record them; return the entries' ids."""
    parameters = {
        "pool": pool_id,
        "count": len(grants),
        "entries": uuid_array(grant.entry_id for grant in grants),
        "users": uuid_array(grant.user_id for grant in grants),
        "references": [grant.reference for grant in grants],
        "fingerprints": [grant.fingerprint for grant in grants],
        "reason": reason,
        "actor": actor_id,
        "service": service_id,
    }
    return {entry_id for (entry_id,) in fetch_results(GRANT_CREDITS, parameters)[0]}
