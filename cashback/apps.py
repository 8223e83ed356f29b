from django.apps import AppConfig


class CashbackConfig(AppConfig):
    name = "cashback"
    verbose_name = "Wiring"

    def ready(self) -> None:
        from cashback import checks  # noqa: F401, PLC0415  (registers the system checks once the apps are loaded)
