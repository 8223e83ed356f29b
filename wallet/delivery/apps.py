"""The app of the feed and of webhooks."""

from django.apps import AppConfig


class DeliveryConfig(AppConfig):
    name = "wallet.delivery"
    label = "delivery"
    default_auto_field = "django.db.models.BigAutoField"
