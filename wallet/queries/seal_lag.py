"""How long the ledger has been waiting for its next seal."""

UNSEALED = "xid >= coalesce((SELECT to_xid FROM ledger_seal ORDER BY seq DESC LIMIT 1), '0') ORDER BY xid, id LIMIT 1"
# When a movement was recorded: `at` of a lapse or of a hold that ended is when it became true, which may be long before. Its id
# begins with the milliseconds at which it was made.
RECORDED_AT = "greatest(at, to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0))"
# SQL: when the first claim or movement without a seal was recorded; NULL if all are sealed.
OLDEST_UNSEALED = f"""
SELECT min(recorded_at) FROM (
    (SELECT claimed_at AS recorded_at FROM ledger_entry WHERE {UNSEALED})
    UNION ALL (SELECT {RECORDED_AT} FROM ledger_movement WHERE {UNSEALED})
) AS unsealed
"""  # noqa: S608  (constants)
