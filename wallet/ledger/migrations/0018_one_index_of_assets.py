"""Entries have one index of their assets instead of two, made while claims go on."""

from django.conf import settings
from django.db import migrations, models
import django.db.models.deletion

# The unique index had the condition kind = 'CLAIM', which each entry meets, so that look-ups by the asset alone needed another.
BUILD = 'CREATE UNIQUE INDEX CONCURRENTLY entry_one_claim_per_asset_new ON ledger_entry (asset_id)'
SWAP = """
DROP INDEX entry_one_claim_per_asset;
ALTER INDEX entry_one_claim_per_asset_new RENAME TO entry_one_claim_per_asset;
"""
BUILD_BACK = "CREATE UNIQUE INDEX CONCURRENTLY entry_one_claim_per_asset_new ON ledger_entry (asset_id) WHERE kind = 'CLAIM'"
DROP = 'DROP INDEX CONCURRENTLY IF EXISTS ledger_entry_asset_id_6d994468'
DROP_BACK = 'CREATE INDEX CONCURRENTLY ledger_entry_asset_id_6d994468 ON ledger_entry (asset_id)'
# What an interrupted attempt has left is invalid.
CLEAR = 'DROP INDEX CONCURRENTLY IF EXISTS entry_one_claim_per_asset_new'


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('assets', '0015_emoji_in_titles'),
        ('ledger', '0017_approvals'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(CLEAR, SWAP),
                migrations.RunSQL(BUILD, BUILD_BACK),
                migrations.RunSQL(SWAP, CLEAR),
                migrations.RunSQL(DROP, DROP_BACK),
            ],
            state_operations=[
                migrations.RemoveConstraint(
                    model_name='entry',
                    name='entry_one_claim_per_asset',
                ),
                migrations.AlterField(
                    model_name='entry',
                    name='asset',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='assets.cashbackasset'),
                ),
                migrations.AddConstraint(
                    model_name='entry',
                    constraint=models.UniqueConstraint(models.F('asset'), name='entry_one_claim_per_asset'),
                ),
            ],
        ),
    ]
