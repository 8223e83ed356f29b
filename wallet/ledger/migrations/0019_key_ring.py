"""Idempotency keys in a ring of three partitions, one a week, so that old ones are forgotten by TRUNCATE (ADR 32).

No row is copied: the table there is becomes the partition of this week, and is emptied a week after it.
"""

from django.conf import settings
from django.db import migrations, models
import django.db.models.deletion

THIS_WEEK = 'mod(floor(extract(epoch FROM now()) / 604800)::integer, 3)'
# Without autovacuum: a partition that was analyzed while it was empty would be read from its first row to its last. There is
# nothing to clean either: a row is updated once, in place, and truncated after two weeks.
PARTITION = """
DO $$
DECLARE this_week CONSTANT integer := {this_week}; name text;
BEGIN
    FOR name IN SELECT conname FROM pg_constraint WHERE conrelid = 'ledger_idempotencykey'::regclass AND contype = 'f' LOOP
        EXECUTE format('ALTER TABLE ledger_idempotencykey DROP CONSTRAINT %I', name);
    END LOOP;
    DROP INDEX idempotency_key_age;
    EXECUTE format('ALTER TABLE ledger_idempotencykey ADD COLUMN partition_number smallint NOT NULL DEFAULT %s', this_week);
    ALTER TABLE ledger_idempotencykey RENAME CONSTRAINT ledger_idempotencykey_pkey TO ledger_idempotencykey_former_pkey;
    ALTER TABLE ledger_idempotencykey RENAME TO ledger_idempotencykey_former;
    CREATE TABLE ledger_idempotencykey (LIKE ledger_idempotencykey_former INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
        PARTITION BY LIST (partition_number);
    ALTER TABLE ledger_idempotencykey ALTER COLUMN partition_number SET DEFAULT {this_week};
    EXECUTE format('ALTER TABLE ledger_idempotencykey ATTACH PARTITION ledger_idempotencykey_former FOR VALUES IN (%s)', this_week);
    EXECUTE format('ALTER TABLE ledger_idempotencykey_former RENAME TO ledger_idempotencykey_%s', this_week);
    EXECUTE format('ALTER TABLE ledger_idempotencykey_%s RENAME CONSTRAINT ledger_idempotencykey_former_pkey'
        ' TO ledger_idempotencykey_%s_pkey', this_week, this_week);
    FOR number IN 0..2 LOOP
        IF number <> this_week THEN
            EXECUTE format('CREATE TABLE ledger_idempotencykey_%s PARTITION OF ledger_idempotencykey'
                ' (PRIMARY KEY (user_id, route, key)) FOR VALUES IN (%s)', number, number);
        END IF;
        EXECUTE format('ALTER TABLE ledger_idempotencykey_%s SET (autovacuum_enabled = false)', number);
    END LOOP;
END $$
""".replace('{this_week}', THIS_WEEK)
MERGE = """
ALTER TABLE ledger_idempotencykey RENAME TO ledger_idempotencykey_ring;
CREATE TABLE ledger_idempotencykey (LIKE ledger_idempotencykey_ring INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO ledger_idempotencykey SELECT * FROM ledger_idempotencykey_ring;
DROP TABLE ledger_idempotencykey_ring;
ALTER TABLE ledger_idempotencykey DROP COLUMN partition_number, ADD PRIMARY KEY (user_id, route, key),
    ADD CONSTRAINT ledger_idempotencykey_user_id_fk FOREIGN KEY (user_id) REFERENCES accounts_user (id)
        DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT ledger_idempotencykey_entry_id_fk FOREIGN KEY (entry_id) REFERENCES ledger_entry (id)
        DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX idempotency_key_age ON ledger_idempotencykey (created_at);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0018_one_index_of_assets'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(PARTITION, MERGE)],
            state_operations=[
                migrations.RemoveIndex(
                    model_name='idempotencykey',
                    name='idempotency_key_age',
                ),
                migrations.AddField(
                    model_name='idempotencykey',
                    name='partition_number',
                    field=models.SmallIntegerField(db_default=models.Func(output_field=models.SmallIntegerField(), template=THIS_WEEK), editable=False),
                ),
                migrations.AlterField(
                    model_name='idempotencykey',
                    name='entry',
                    field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.entry'),
                ),
                migrations.AlterField(
                    model_name='idempotencykey',
                    name='user',
                    field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
                ),
            ],
        ),
    ]
