"""The rules of approvals: who decides, once and in time, and what is worth more than its pool's threshold has its approval.

An approval counts in the transaction that decides it, and only there: the decision is written first, with the id that the
result will have, and then the action. So the decision and what it decided commit together or not at all.
"""

import pgtrigger

from wallet.assets.triggers import refuse_sql
from wallet.ledger.lot_triggers import never_deleted
from wallet.ledger.triggers import at_commit, row_of

LIFETIME_DAYS = 7
REQUIRED = refuse_sql("approval_required", "this is worth more than the pool's approval threshold: another operator decides")


def approved_sql(kinds: str, result: str, amount: str) -> str:
    """Return SQL for whether this transaction approved a proposal whose result it is, for at least this amount.

    Arguments:
        kinds: SQL of the kinds, such as "'GRANT'".
        result: SQL of the id of what the proposal makes.
        amount: SQL of the amount, or of the pool's share of the proposal's totals that must suffice.
    """
    return (
        f"EXISTS (SELECT FROM ledger_proposal AS proposal WHERE proposal.result = {result} AND proposal.kind IN ({kinds})"
        f" AND proposal.approved AND proposal.decided_xid = pg_current_xact_id() AND {amount})"
    )


# --- Proposals ----------------------------------------------------------------------------------------------------------

proposed = pgtrigger.Trigger(
    name="proposal_proposed",
    operation=pgtrigger.Insert,
    when=pgtrigger.Before,
    func=f"""
    IF NEW.decided_by_id IS NOT NULL OR NEW.approved IS NOT NULL OR NEW.result IS NOT NULL THEN
        {refuse_sql("proposal_undecided_first", "a proposal is made before it is decided")}
    END IF;
    IF jsonb_typeof(NEW.parameters) <> 'object' OR jsonb_typeof(NEW.shown) <> 'object' THEN
        {refuse_sql("proposal_parameters", "parameters are an object")}
    END IF;
    NEW.proposed_at := clock_timestamp();
    NEW.expires_at := NEW.proposed_at + interval '{LIFETIME_DAYS * 24} hours';
    RETURN NEW;
    """,
)
# Everything but the decision stays as it was proposed: compared as a whole, so that a new column is covered too.
DECISION = "'decided_by_id' - 'decided_at' - 'decided_xid' - 'approved' - 'decision_reason' - 'result'"
decided = pgtrigger.Trigger(
    name="proposal_decided",
    operation=pgtrigger.Update,
    when=pgtrigger.Before,
    func=f"""
    IF OLD.decided_at IS NOT NULL THEN
        {refuse_sql("proposal_decided", "a proposal is decided once")}
    END IF;
    IF to_jsonb(NEW) - {DECISION} <> to_jsonb(OLD) - {DECISION} THEN
        {refuse_sql("proposal_fixed", "what was proposed never changes")}
    END IF;
    NEW.decided_at := clock_timestamp();
    NEW.decided_xid := pg_current_xact_id();
    IF OLD.expires_at <= NEW.decided_at THEN
        {refuse_sql("proposal_expired", "the proposal has expired")}
    END IF;
    IF NOT EXISTS (SELECT FROM accounts_user WHERE id = NEW.decided_by_id AND is_active AND role = 'ADMIN') THEN
        {refuse_sql("proposal_decided_by_operator", "an operator decides")}
    END IF;
    -- Who made a key of the service could have sent its request.
    IF EXISTS (SELECT FROM accounts_servicekey AS key WHERE key.service_id = OLD.service_id
        AND key.created_by_id = NEW.decided_by_id AND (key.revoked_at IS NULL OR key.revoked_at > OLD.proposed_at)
        AND (key.expires_at IS NULL OR key.expires_at > OLD.proposed_at)) THEN
        {refuse_sql("proposal_decided_by_another", "who made the service's key does not decide its proposals")}
    END IF;
    RETURN NEW;
    """,
)
carried_out = at_commit(
    "proposal_carried_out",
    pgtrigger.Update,
    "NEW.approved",
    f"""
    IF NOT (CASE NEW.kind
        WHEN 'GRANT' THEN EXISTS (SELECT FROM ledger_grant AS made WHERE made.entry_id = NEW.result
            AND (made.actor_id, made.service_id) IS NOT DISTINCT FROM (NEW.proposed_by_id, NEW.service_id))
        WHEN 'CLAWBACK' THEN EXISTS (SELECT FROM ledger_movement AS made WHERE made.id = NEW.result
            AND made.kind = NEW.kind AND made.actor_id IS NOT DISTINCT FROM NEW.proposed_by_id)
        WHEN 'EXTEND' THEN EXISTS (SELECT FROM ledger_movement AS made WHERE made.id = NEW.result
            AND made.kind = NEW.kind AND made.actor_id IS NOT DISTINCT FROM NEW.proposed_by_id)
        WHEN 'THRESHOLD' THEN EXISTS (SELECT FROM assets_creditpool AS made WHERE made.id = NEW.result
            AND made.approval_threshold IS NOT DISTINCT FROM NEW.amount)
        ELSE EXISTS (SELECT FROM assets_batch AS made WHERE made.id = NEW.result
            AND made.created_by_id IS NOT DISTINCT FROM NEW.proposed_by_id)
        END) THEN
        {refuse_sql("proposal_carried_out", "an approved proposal is carried out in the same transaction")}
    END IF;
    """,
)
PROPOSAL_RULES = [proposed, decided, carried_out, *never_deleted("proposal_kept")]

# --- What needs an approval ---------------------------------------------------------------------------------------------

# A statement trigger, so that a thousand grants cost one look-up, and count together.
grant_approved = pgtrigger.Trigger(
    name="grant_approved",
    level=pgtrigger.Statement,
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    referencing=pgtrigger.Referencing(new="granted"),  # type: ignore[no-untyped-call]
    func=f"""
    IF EXISTS (
        SELECT FROM granted CROSS JOIN {row_of("ledger_entry", "id", "granted.entry_id", "entry")}
            CROSS JOIN {row_of("assets_cashbackasset", "id", "entry.asset_id", "asset")}
            JOIN assets_creditpool AS pool ON pool.id = asset.pool_id AND pool.approval_threshold IS NOT NULL
        WHERE NOT {approved_sql("'GRANT'", "entry.id", "entry.amount <= proposal.amount")}
        GROUP BY pool.id HAVING sum(entry.amount) > pool.approval_threshold
    ) THEN
        {REQUIRED}
    END IF;
    RETURN NULL;
    """,
)

# A clawback that follows an earlier one (shortfall NULL) takes what that one was approved for.
movement_approved = pgtrigger.Trigger(
    name="movement_approved",
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    condition=pgtrigger.Condition("NEW.kind = 'EXTEND' OR NEW.kind = 'CLAWBACK' AND NEW.shortfall IS NOT NULL"),
    declare=[("worth", "numeric")],
    func=f"""
    worth := NEW.amount + coalesce(NEW.shortfall, 0);
    IF EXISTS (
        SELECT FROM ledger_entry AS entry JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
            JOIN assets_creditpool AS pool ON pool.id = asset.pool_id AND pool.approval_threshold < worth
        WHERE entry.id = NEW.claim_id
    ) AND NOT {approved_sql("NEW.kind", "NEW.id", "worth <= proposal.amount")} THEN
        {REQUIRED}
    END IF;
    RETURN NULL;
    """,
)

# What a batch issues in one pool counts together, in however many statements and transactions.
issue_approved = pgtrigger.Trigger(
    name="issue_approved",
    operation=pgtrigger.Insert,
    when=pgtrigger.After,
    condition=pgtrigger.Condition("NEW.pool_id IS NOT NULL"),
    declare=[("threshold", "numeric"), ("worth", "numeric")],
    func=f"""
    SELECT approval_threshold INTO threshold FROM assets_creditpool WHERE id = NEW.pool_id;
    IF threshold IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT sum(value) INTO worth FROM assets_issuance
        WHERE id = NEW.id OR batch_id = NEW.batch_id AND pool_id = NEW.pool_id;
    IF worth > threshold AND NOT {
        approved_sql(
            "'ISSUE', 'RECREATE', 'IMPORT'",
            "NEW.batch_id",
            "worth <= (proposal.parameters -> 'totals' ->> NEW.pool_id::text)::numeric",
        )
    } THEN
        {REQUIRED}
    END IF;
    RETURN NULL;
    """,
)

# A credit that is worth more is not made from a cheaper one, and does not move to a pool with other rules.
value_kept = pgtrigger.Trigger(
    name="asset_value_approved",
    operation=pgtrigger.UpdateOf("total_value", "pool_id"),  # type: ignore[no-untyped-call]
    when=pgtrigger.Before,
    condition=pgtrigger.Condition(
        "OLD.status = 'AVAILABLE' AND (NEW.total_value > OLD.total_value OR NEW.pool_id IS DISTINCT FROM OLD.pool_id)"
    ),
    func=f"""
    IF EXISTS (SELECT FROM assets_creditpool AS pool
        WHERE pool.id IN (OLD.pool_id, NEW.pool_id) AND pool.approval_threshold < NEW.total_value) THEN
        {REQUIRED}
    END IF;
    RETURN NEW;
    """,
)

# A threshold is set or lowered by one operator; to raise or remove it takes two.
threshold_approved = pgtrigger.Trigger(
    name="pool_threshold_approved",
    operation=pgtrigger.UpdateOf("approval_threshold"),  # type: ignore[no-untyped-call]
    when=pgtrigger.Before,
    condition=pgtrigger.Condition(
        "OLD.approval_threshold IS NOT NULL"
        " AND (NEW.approval_threshold IS NULL OR NEW.approval_threshold > OLD.approval_threshold)"
    ),
    func=f"""
    IF NOT {approved_sql("'THRESHOLD'", "NEW.id", "proposal.amount IS NOT DISTINCT FROM NEW.approval_threshold")} THEN
        {REQUIRED}
    END IF;
    RETURN NEW;
    """,
)
