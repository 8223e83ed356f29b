"""Services: systems, such as a shop's backend, that call with a key of their own."""

from django.db import models
from django.db.models.functions import Now

from kernel.model_fields import GeneratedUUIDField
from kernel.uuid7 import uuid7


class Service(models.Model):
    """A system that takes payments: the merchant's side of a payment, and the principal of its own requests."""

    id = GeneratedUUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, unique=True)
    is_active = models.BooleanField(default=True, help_text="Turn off to refuse all requests of this service.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
