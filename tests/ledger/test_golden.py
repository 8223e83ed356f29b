"""The complete list of triggers by table: a missing, new or disabled one fails here."""

import re

from django.db import connection

GOLDEN = {
    "accounts_user": {"dues_registered", "dues_verified", "history_pseudonymised", "referral_recorded"},
    "assets_cashbackasset": {
        "asset_born_available",
        "asset_claim_only",
        "asset_claimed_has_entry",
        "asset_due",
        "asset_final",
        "asset_claimed",
        "asset_issued",
        "asset_keep_claimed",
        "asset_opens",
        "asset_pool_currency_changed",
        "asset_same",
        "asset_title_readable",
        "asset_value_approved",
        "delete_delete",
        "supply_changed",
        "supply_deleted",
        "supply_issued",
        "supply_moved_within_budget",
        "supply_within_budget",
        "update_update",
    },
    "assets_batch": {"batch_append_only_rows", "batch_append_only_table"},
    "assets_cashbackassetevent": {"append_only", "history_append_only_table"},
    "assets_creditpool": {
        *("delete_delete", "insert_insert", "pool_budget", "pool_currency", "pool_name_readable", "pool_threshold_approved"),
        "update_update",
    },
    "assets_creditpoolevent": {"append_only", "history_append_only_table"},
    "assets_issuance": {"issuance_append_only_rows", "issuance_append_only_table", "issue_approved"},
    "delivery_tick": {"tick_append_only_rows", "tick_append_only_table"},
    "ledger_allocation": {"allocation_kept_rows", "allocation_kept_table"},
    "ledger_entry": {"entry_append_only_rows", "entry_append_only_table", "entry_equals_asset", "entry_lots_opened"},
    "ledger_grant": {"due_granted", "grant_append_only_rows", "grant_append_only_table", "grant_approved"},
    "ledger_idempotencykey": {"key_once"},
    "ledger_lastingchange": {"lasting_change_kept_rows", "lasting_change_kept_table"},
    "ledger_lot": {"lot_kept_rows", "lot_kept_table", "lot_taken_back"},
    "ledger_lotbackfill": {"lot_backfill_kept_rows", "lot_backfill_kept_table", "lots_backfilled"},
    "ledger_movement": {"movement_append_only_rows", "movement_append_only_table", "movement_turn", "movement_whole"}
    | {"movement_approved"},
    "ledger_payment": {"dues_paid", "payment_kept_rows", "payment_kept_table"},
    "ledger_proposal": {"proposal_carried_out", "proposal_decided", "proposal_kept_rows", "proposal_kept_table"}
    | {"proposal_proposed"},
    "ledger_posting": {"posting_append_only_rows", "posting_append_only_table", "posting_applied"},
    "ledger_seal": {"seal_append_only_rows", "seal_append_only_table", "seal_balances_added", "seal_follows"},
    "programme_grantdue": {"due_final", "due_kept_rows", "due_kept_table", "due_same"},
    "programme_grantrule": {"rule_kept_rows", "rule_kept_table", "rule_same"},
    "programme_referral": {"referral_decided", "referral_kept_rows", "referral_kept_table"},
    "programme_referralcode": {"referral_code_append_only_rows", "referral_code_append_only_table"},
    "programme_reportedevent": {"dues_reported", "event_append_only_rows", "event_append_only_table"},
    "pghistory_context": {"context_append_only_table", "context_immutable", "context_never_deleted"},
}

OWN = "tgparentid = 0"  # not inherited by a partition


def triggers(condition: str = "true") -> list[tuple[str, str, str]]:
    """Return table, name and state of each trigger that is no foreign key's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger"
            f" WHERE NOT tgisinternal AND {condition} ORDER BY 1, 2"
        )
        return list(cursor.fetchall())


def rule(trigger: str) -> str:
    """Return a trigger's name without what pgtrigger puts around it."""
    named = re.fullmatch(r"pgtrigger_(\w+)_[0-9a-f]{5}", trigger)
    return named[1] if named else trigger


def test_the_triggers_are_the_golden_ones(db: None) -> None:
    there: dict[str, set[str]] = {}
    for table, name, _ in triggers(OWN):
        there.setdefault(table, set()).add(rule(name))

    assert there == GOLDEN
    assert len(triggers(OWN)) == sum(map(len, GOLDEN.values()))


def test_every_trigger_is_enabled_always(db: None) -> None:
    assert [(table, name) for table, name, enabled in triggers() if enabled != "A"] == []


def test_every_foreign_key_is_watched(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgisinternal AND tgenabled <> 'O'")
        assert cursor.fetchall() == []
