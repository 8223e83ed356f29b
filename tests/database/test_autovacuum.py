"""The tables that grow have storage parameters of their own: no server's default decides when they are vacuumed."""

import pytest
from django.db import connection

GROWING = {
    "assets_cashbackasset": {
        "autovacuum_vacuum_scale_factor": "0.01",
        "autovacuum_vacuum_threshold": "5000",
        "vacuum_index_cleanup": "on",
        "autovacuum_analyze_scale_factor": "0.02",
        "autovacuum_analyze_threshold": "5000",
    },
    "assets_supplydelta": {"autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "2000"},
    **{
        table: {
            "autovacuum_vacuum_insert_scale_factor": "0.02",
            "autovacuum_vacuum_insert_threshold": "10000",
            "autovacuum_analyze_scale_factor": "0.02",
            "autovacuum_analyze_threshold": "5000",
        }
        for table in ("ledger_entry", "ledger_movement", "ledger_posting")
    },
    **{
        table: {
            "autovacuum_vacuum_scale_factor": "0.02",
            "autovacuum_vacuum_threshold": "5000",
            "autovacuum_analyze_scale_factor": "0.02",
            "autovacuum_analyze_threshold": "5000",
        }
        for table in ("ledger_lot", "ledger_payment", "ledger_allocation")
    },
    **{f"ledger_idempotencykey_{number}": {"autovacuum_enabled": "false"} for number in range(3)},
}
pytestmark = pytest.mark.django_db


def test_the_tables_that_grow_have_their_own_thresholds() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND reloptions IS NOT NULL")
        found = {table: dict(option.split("=", 1) for option in options) for table, options in cursor.fetchall()}

    assert {table: found.get(table, {}).items() & options.items() for table, options in GROWING.items()} == {
        table: set(options.items()) for table, options in GROWING.items()
    }


def test_an_entry_has_one_index_of_its_asset() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_expr(indpred, indrelid) FROM pg_index"
            " WHERE indrelid = 'ledger_entry'::regclass"
            " AND indkey[0] = (SELECT attnum FROM pg_attribute WHERE attrelid = indrelid AND attname = 'asset_id')"
        )
        assert cursor.fetchall() == [("entry_one_claim_per_asset", None)]
