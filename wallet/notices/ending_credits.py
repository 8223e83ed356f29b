"""The credits of a digest: SQL that finds them by person, and the payload that lists them."""

import json
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from kernel.timestamps import format_timestamp
from wallet.money import format_amount
from wallet.notices.mornings import Digest

MAX_LISTED = 20  # credits that the email of a digest lists one by one; all of them are in its totals

# Per person the credits that can be spent and end within one of the windows, soonest first. People who have the digest of the
# day are left out, so that repeated it finds the next ones.
# Titles are read for the people of this batch only.
ENDING_CREDITS = """
WITH ending AS MATERIALIZED (
SELECT lot.user_id, lot.entry_id, lot.available, lot.currency, lot.spendable_until
FROM ledger_lot AS lot
JOIN accounts_user AS person ON person.id = lot.user_id AND person.is_active AND person.time_zone = ANY(%(zones)s::text[])
WHERE lot.is_open AND lot.clawback_due = 0 AND lot.spendable_until > clock_timestamp() AND (
    lot.spendable_until > %(after_1)s AND lot.spendable_until <= %(until_1)s
    OR lot.spendable_until > %(after_7)s AND lot.spendable_until <= %(until_7)s
) AND NOT EXISTS (
    SELECT FROM notices_notice AS notice
    WHERE notice.user_id = lot.user_id AND notice.kind = 'ending_soon' AND notice.key = %(day)s
)), chosen AS (SELECT DISTINCT user_id FROM ending ORDER BY user_id LIMIT %(limit)s)
SELECT ending.user_id, jsonb_agg(jsonb_build_array(ending.entry_id, asset.title, ending.available::text, ending.currency,
    ending.spendable_until) ORDER BY ending.spendable_until, ending.entry_id)::text AS credits
FROM chosen JOIN ending ON ending.user_id = chosen.user_id
JOIN ledger_entry AS entry ON entry.id = ending.entry_id
JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
GROUP BY ending.user_id ORDER BY ending.user_id
"""


def ending_parameters(digest: Digest, limit: int) -> dict[str, Any]:
    """Return the parameters of ENDING_CREDITS."""
    (after_1, until_1), (after_7, until_7) = digest.windows
    windows = {"after_1": after_1, "until_1": until_1, "after_7": after_7, "until_7": until_7}
    return windows | {"zones": list(digest.zones), "day": digest.day.isoformat(), "limit": limit}


def ending_payload(day: str, found: str) -> dict[str, Any]:
    """Return the payload of a digest: its day, the totals per currency, and the credits, soonest end first.

    Arguments:
        found: the credits of a person as ENDING_CREDITS returns them, JSON.
    """
    credits = json.loads(found)
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for _claim, _title, amount, currency, _until in credits:
        totals[currency] += Decimal(amount)
    return {
        "day": day,
        "totals": [{"currency": code, "amount": format_amount(amount, code)} for code, amount in sorted(totals.items())],
        "count": len(credits),
        "credits": [
            {
                "claim": claim,
                "title": title,
                "amount": format_amount(Decimal(amount), currency),
                "currency": currency,
                "spendable_until": format_timestamp(datetime.fromisoformat(until)),
            }
            for claim, title, amount, currency, until in credits
        ],
    }
