"""The migration that makes names of pools unique reports those that collide and changes none."""

from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import CommandError
from django.db import connection

from wallet.assets.models import CreditPool


def test_pools_whose_names_collide_are_reported(db: None) -> None:
    migration = import_module("wallet.assets.migrations.0012_readable_names")
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX pool_name_unique")
    CreditPool.objects.bulk_create(CreditPool(name=name, kind="SIGNUP", currency="INR") for name in ("Holi", " HOLI", "Diwali"))
    with connection.schema_editor() as editor, pytest.raises(CommandError, match='" HOLI"') as refused:
        migration.report_collisions(apps, editor)

    assert '"Holi"' in str(refused.value)
    assert "Diwali" not in str(refused.value)
    assert CreditPool.objects.count() == 3
