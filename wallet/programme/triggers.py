"""The rules of the programme in PostgreSQL: what happened writes what is due, in its own transaction, as the tables' owner.

The application inserts people, payments, reported events and grants; dues and referrals it only reads, apart from when a due is
tried next. So no interface can forget an event, and nobody can make a due for one that did not happen.
"""

import pgtrigger

from wallet.assets.triggers import refuse_sql
from wallet.programme.events import (
    BURST_WINDOW,
    MAX_FRIENDS_AT_ONCE,
    MAX_FRIENDS_OF_NETWORK,
    NETWORK_WINDOW,
    PAID,
    GrantEvent,
)

PAID_EVENTS = f"({', '.join(repr(event) for event in PAID)})"
OF_FRIEND = f"CASE WHEN rule.event = '{GrantEvent.FRIEND_FIRST_PAYMENT}'"


def dues_of_person_sql(event: str) -> str:
    """Return PL/pgSQL that writes what is due to the person NEW for an event; nothing without an active rule."""
    return f"""
    INSERT INTO programme_grantdue (rule_id, user_id, reference)
        SELECT rule.id, NEW.id, NEW.id FROM programme_grantrule AS rule
        WHERE rule.is_active AND rule.event = '{event}' ORDER BY rule.id
    ON CONFLICT DO NOTHING;
    """


# --- What happened ------------------------------------------------------------------------------------------------------

registered = pgtrigger.Trigger(
    name="dues_registered",
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    condition=pgtrigger.Condition("NEW.role = 'USER'"),
    func=f"""{dues_of_person_sql(GrantEvent.REGISTERED)}
    IF NEW.email_verified_at IS NOT NULL THEN {dues_of_person_sql(GrantEvent.EMAIL_VERIFIED)} END IF;
    RETURN NULL;
    """,
)
verified = pgtrigger.Trigger(
    name="dues_verified",
    operation=pgtrigger.UpdateOf("email_verified_at"),  # type: ignore[no-untyped-call]
    when=pgtrigger.After,
    condition=pgtrigger.Condition("NEW.role = 'USER' AND OLD.email_verified_at IS NULL AND NEW.email_verified_at IS NOT NULL"),
    func=f"{dues_of_person_sql(GrantEvent.EMAIL_VERIFIED)} RETURN NULL;",
)

# Who is invited says so by a setting of the registration's transaction (accounts.registration). The lock on the code makes
# friends of one person register one after the other, so that a burst is counted exactly.
referred = pgtrigger.Trigger(
    name="referral_recorded",
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    declare=[("invitation", "jsonb"), ("inviting", "uuid"), ("at", "timestamptz"), ("reason", "text")],
    func=f"""
    invitation := nullif(current_setting('cashback.invitation', true), '')::jsonb;
    IF invitation IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('cashback.invitation', '', true);
    SELECT user_id INTO inviting FROM programme_referralcode WHERE code = invitation ->> 'code' FOR NO KEY UPDATE;
    IF NOT coalesce((SELECT is_active FROM accounts_user WHERE id = inviting), false) THEN
        {refuse_sql("referral_code_known", "nobody invites with this code")}
    END IF;
    at := clock_timestamp();
    reason := CASE
        WHEN invitation ->> 'network' <> '' AND {MAX_FRIENDS_OF_NETWORK} <= (SELECT count(*) FROM programme_referral
            WHERE referrer_id = inviting AND network = invitation ->> 'network'
                AND created_at > at - interval '{NETWORK_WINDOW}') THEN 'NETWORK'
        WHEN {MAX_FRIENDS_AT_ONCE} <= (SELECT count(*) FROM programme_referral
            WHERE referrer_id = inviting AND created_at > at - interval '{BURST_WINDOW}') THEN 'BURST'
        ELSE '' END;
    INSERT INTO programme_referral (friend_id, referrer_id, network, created_at, held_for)
        VALUES (NEW.id, inviting, coalesce(invitation ->> 'network', ''), at, reason);
    RETURN NULL;
    """,
)

# The first payment that fulfils the rule: none before it did. While no rule waits for payments, the first look is all it costs.
paid = pgtrigger.Trigger(
    name="dues_paid",
    operation=pgtrigger.Insert | pgtrigger.UpdateOf("captured"),  # type: ignore[no-untyped-call]
    when=pgtrigger.After,
    condition=pgtrigger.Condition("NEW.captured > 0"),
    declare=[("referral", "programme_referral%ROWTYPE")],
    func=f"""
    IF NOT EXISTS (SELECT FROM programme_grantrule WHERE is_active AND event IN {PAID_EVENTS})
        OR TG_OP = 'UPDATE' AND OLD.captured = NEW.captured THEN
        RETURN NULL;
    END IF;
    SELECT * INTO referral FROM programme_referral WHERE friend_id = NEW.user_id FOR SHARE;
    INSERT INTO programme_grantdue (rule_id, user_id, reference, payment_id, friend_id, next_try_at)
        SELECT rule.id, {OF_FRIEND} THEN referral.referrer_id ELSE NEW.user_id END, NEW.user_id, NEW.id,
            {OF_FRIEND} THEN referral.friend_id END,
            {OF_FRIEND} AND referral.held_for <> '' AND referral.is_approved IS NULL THEN NULL ELSE clock_timestamp() END
        FROM programme_grantrule AS rule
        WHERE rule.is_active AND rule.event IN {PAID_EVENTS}
            AND {OF_FRIEND} THEN referral.friend_id IS NOT NULL AND referral.is_approved IS DISTINCT FROM false ELSE true END
            AND (rule.minimum_amount IS NULL OR rule.currency = NEW.currency AND NEW.captured >= rule.minimum_amount)
            AND NOT EXISTS (
                SELECT FROM ledger_payment AS earlier WHERE earlier.user_id = NEW.user_id AND earlier.id <> NEW.id
                    AND earlier.captured > 0 AND (rule.minimum_amount IS NULL
                        OR earlier.currency = rule.currency AND earlier.captured >= rule.minimum_amount))
        ORDER BY rule.id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
    """,
)
reported = pgtrigger.Trigger(
    name="dues_reported",
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    func=f"""
    INSERT INTO programme_grantdue (rule_id, user_id, reference)
        SELECT rule.id, NEW.user_id, NEW.id FROM programme_grantrule AS rule
        WHERE rule.is_active AND rule.event = '{GrantEvent.REPORTED}' AND rule.event_name = NEW.name ORDER BY rule.id;
    RETURN NULL;
    """,
)

# --- What came of it ----------------------------------------------------------------------------------------------------

UUID_PATTERN = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# A grant whose reference names a rule is the grant of its due: of that person and pool, once, and within the cap. Grants to
# one person in one pool come one after the other, by the lock that the claim takes (assets.triggers).
granted = pgtrigger.Trigger(
    name="due_granted",
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    condition=pgtrigger.Condition("NEW.service_id IS NULL AND starts_with(NEW.reference, 'rule:')"),
    declare=[("due_id", "bigint"), ("due_rule", "uuid"), ("due_user", "uuid"), ("cap", "integer"), ("slot", "integer")],
    func=f"""
    IF NEW.reference ~ '^rule:{UUID_PATTERN}:{UUID_PATTERN}$' THEN
        SELECT due.id, due.rule_id, due.user_id, rule.per_person_cap INTO due_id, due_rule, due_user, cap
            FROM programme_grantdue AS due JOIN programme_grantrule AS rule ON rule.id = due.rule_id
            JOIN ledger_entry AS entry ON entry.id = NEW.entry_id AND entry.user_id = due.user_id
            JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id AND asset.pool_id = rule.pool_id
            WHERE due.rule_id = split_part(NEW.reference, ':', 2)::uuid
                AND due.reference = split_part(NEW.reference, ':', 3)::uuid AND due.entry_id IS NULL
                AND NOT EXISTS (SELECT FROM programme_referral AS referral WHERE referral.friend_id = due.friend_id
                    AND referral.held_for <> '' AND referral.is_approved IS NOT TRUE)
            FOR NO KEY UPDATE OF due;
    END IF;
    IF due_id IS NULL THEN
        {refuse_sql("grant_of_due", "no rule has this credit due to this person")}
    END IF;
    slot := 1 + coalesce((SELECT max(cap_slot) FROM programme_grantdue WHERE rule_id = due_rule AND user_id = due_user), 0);
    IF slot > cap THEN
        {refuse_sql("rule_cap", "this person has all that the rule grants to one person")}
    END IF;
    UPDATE programme_grantdue SET entry_id = NEW.entry_id, granted_at = clock_timestamp(), cap_slot = slot WHERE id = due_id;
    RETURN NULL;
    """,
)

# --- What never changes -------------------------------------------------------------------------------------------------


def fixed_columns(name: str, columns: tuple[str, ...], message: str) -> pgtrigger.Trigger:
    """Return the trigger that refuses a change of these columns."""
    changed = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    return pgtrigger.Trigger(
        name=name,
        operation=pgtrigger.Update,
        when=pgtrigger.Before,
        condition=pgtrigger.Condition(changed),
        func=refuse_sql(name, message),
    )


rule_same = fixed_columns(
    "rule_same",
    ("id", "pool_id", "event", "event_name", "minimum_amount", "currency", "created_by_id", "created_at"),
    "a rule keeps its pool, its event and its conditions",
)
due_same = fixed_columns(
    "due_same",
    ("rule_id", "user_id", "reference", "friend_id", "payment_id", "created_at"),
    "a due keeps its rule, person, reference and payment",
)
due_final = pgtrigger.Trigger(
    name="due_final",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    condition=pgtrigger.Condition("OLD.entry_id IS NOT NULL"),
    func=refuse_sql("due_final", "what was granted never changes"),
)
# The one change of a referral: an operator decides on one that is held. What became due meanwhile is then tried.
decided = pgtrigger.Trigger(
    name="referral_decided",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    func=f"""
    IF OLD.held_for = '' OR OLD.is_approved IS NOT NULL OR NEW.is_approved IS NULL OR NEW.decided_by_id IS NULL OR
        (OLD.friend_id, OLD.referrer_id, OLD.network, OLD.created_at, OLD.held_for)
            IS DISTINCT FROM (NEW.friend_id, NEW.referrer_id, NEW.network, NEW.created_at, NEW.held_for) THEN
        {refuse_sql("referral_decided", "a referral that is held is decided on once, and nothing else of it changes")}
    END IF;
    NEW.decided_at := clock_timestamp();
    IF NEW.is_approved THEN
        UPDATE programme_grantdue SET next_try_at = NEW.decided_at WHERE friend_id = NEW.friend_id AND entry_id IS NULL;
    END IF;
    RETURN NEW;
    """,
)
