"""The database router of a deployment with a replica: reads go where kernel.replicas says, everything else to the primary."""

from typing import Any

from django.db.models import Model

from kernel.replicas import PRIMARY, REPLICA, read_alias

# What operators and users look at. Sessions, permissions, keys and second factors are read from the primary always.
APPS_ON_REPLICA = {"assets", "ledger", "programme", "delivery", "notices"}
MODELS_ON_REPLICA = {"accounts.User", "accounts.Service"}


class ReplicaRouter:
    """Django's router for reads of the wallet's tables."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """Return the alias to read the model from."""
        is_shown = model._meta.app_label in APPS_ON_REPLICA or model._meta.label in MODELS_ON_REPLICA
        return read_alias() if is_shown else PRIMARY

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        """Return the primary."""
        return PRIMARY

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        """Return True: both servers hold the same rows."""
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Return False for the replica, which follows by itself."""
        return False if db == REPLICA else None
