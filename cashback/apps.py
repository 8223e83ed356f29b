from django.apps import AppConfig

from cashback import checks  # noqa: F401  (registers the system checks)


class CashbackConfig(AppConfig):
    name = "cashback"
    verbose_name = "Wiring"
