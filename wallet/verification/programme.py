"""The checker's SQL about the programme (I27): every due happened, and every granted due has exactly one entry."""

GRANT_WITHOUT_DUE = """
    SELECT format('grant %s of entry %s has no due', ledger_grant.reference, ledger_grant.entry_id)
    FROM ledger_grant LEFT JOIN programme_grantdue AS due ON due.entry_id = ledger_grant.entry_id
        AND ledger_grant.reference = format('rule:%s:%s', due.rule_id, due.reference)
    WHERE ledger_grant.service_id IS NULL AND starts_with(ledger_grant.reference, 'rule:') AND due.id IS NULL
"""
DUE_WITHOUT_GRANT = """
    SELECT format('due %s of rule %s to user %s is marked as granted by entry %s, which is not its grant', due.id, due.rule_id,
        due.user_id, due.entry_id)
    FROM programme_grantdue AS due JOIN programme_grantrule AS rule ON rule.id = due.rule_id
    LEFT JOIN ledger_entry AS entry ON entry.id = due.entry_id
    LEFT JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
    LEFT JOIN ledger_grant ON ledger_grant.entry_id = due.entry_id AND ledger_grant.service_id IS NULL
    WHERE due.entry_id IS NOT NULL AND (ledger_grant.reference, entry.user_id, asset.pool_id)
        IS DISTINCT FROM (format('rule:%s:%s', due.rule_id, due.reference), due.user_id, rule.pool_id)
"""
DUE_WITHOUT_EVENT = """
    SELECT format('due %s of rule %s to user %s is for a %s that did not happen', due.id, due.rule_id, due.user_id, rule.event)
    FROM programme_grantdue AS due JOIN programme_grantrule AS rule ON rule.id = due.rule_id
    LEFT JOIN accounts_user AS person ON person.id = due.user_id
    WHERE NOT coalesce(CASE rule.event
        WHEN 'REGISTERED' THEN due.reference = person.id
        WHEN 'EMAIL_VERIFIED' THEN due.reference = person.id AND person.email_verified_at IS NOT NULL
        WHEN 'REPORTED' THEN EXISTS (SELECT FROM programme_reportedevent AS event
            WHERE event.id = due.reference AND event.user_id = due.user_id AND event.name = rule.event_name)
        ELSE EXISTS (SELECT FROM ledger_payment AS payment WHERE payment.user_id = due.reference AND payment.captured > 0
                AND payment.id = coalesce(due.payment_id, payment.id)
                AND (rule.minimum_amount IS NULL
                    OR payment.currency = rule.currency AND payment.captured >= rule.minimum_amount))
            AND CASE rule.event WHEN 'FIRST_PAYMENT' THEN due.reference = due.user_id
                ELSE EXISTS (SELECT FROM programme_referral AS referral WHERE referral.friend_id = due.reference
                    AND referral.friend_id = due.friend_id AND referral.referrer_id = due.user_id) END
        END, false)
"""
HELD_BUT_GRANTED = """
    SELECT format('due %s was granted although the referral of %s was not approved', due.id, due.friend_id)
    FROM programme_grantdue AS due JOIN programme_referral AS referral ON referral.friend_id = due.friend_id
    WHERE due.entry_id IS NOT NULL AND referral.held_for <> '' AND referral.is_approved IS NOT TRUE
"""
ABOVE_CAP = """
    SELECT format('rule %s granted %s credits to user %s, numbered up to %s', rule_id, count(*), user_id, max(cap_slot))
    FROM programme_grantdue WHERE entry_id IS NOT NULL GROUP BY rule_id, user_id
    HAVING (min(cap_slot), max(cap_slot)) <> (1, count(*))
"""

# Invariant and statement.
STATEMENTS = [
    ("I27", GRANT_WITHOUT_DUE),
    ("I27", DUE_WITHOUT_GRANT),
    ("I27", DUE_WITHOUT_EVENT),
    ("I27", HELD_BUT_GRANTED),
    ("I27", ABOVE_CAP),
]
