"""The tables of the hot path are vacuumed and analyzed by their own numbers, whatever the server's configuration says.

PostgreSQL's default of a fifth of the table is 20,000,000 rows of a table of 100,000,000.
"""

from django.db import migrations

# Claimed and expired credits leave dead entries at the head of each pool's queue, which every claim from the pool steps over:
# the indexes are cleaned even if few pages have dead rows.
QUEUE = 'autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, vacuum_index_cleanup = on'
# Rows that change in place: a fiftieth.
STATES = 'autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000'
# Rows that are only added: vacuum marks their pages as visible to all, for the index-only scans of balances, and frozen.
FACTS = 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 10000'
ANALYZE = 'autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 5000'
# A small table of which every row is replaced every few seconds.
COUNTERS = 'autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000'
SETTINGS = {
    'assets_cashbackasset': f'{QUEUE}, {ANALYZE}',
    'assets_supplydelta': COUNTERS,
    'ledger_entry': f'{FACTS}, {ANALYZE}',
    'ledger_movement': f'{FACTS}, {ANALYZE}',
    'ledger_posting': f'{FACTS}, {ANALYZE}',
    'ledger_lot': f'{STATES}, {ANALYZE}',
    'ledger_payment': f'{STATES}, {ANALYZE}',
    'ledger_allocation': f'{STATES}, {ANALYZE}',
}


def reset(settings):
    """Return the names of the settings, as RESET wants them."""
    return ', '.join(setting.partition(' = ')[0] for setting in settings.split(', '))


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0020_key_once'),
    ]

    operations = [
        migrations.RunSQL(f'ALTER TABLE {table} SET ({settings})', f'ALTER TABLE {table} RESET ({reset(settings)})')
        for table, settings in SETTINGS.items()
    ]
