from django.apps import AppConfig
from django.conf import settings

from cashback import (
    checks,  # noqa: F401  (registers the system checks)
    telemetry,
)


class CashbackConfig(AppConfig):
    name = "cashback"
    verbose_name = "Wiring"

    def ready(self) -> None:
        """Start the error reports, if they are wanted."""
        if settings.SENTRY_DSN:
            telemetry.start_sentry(settings.SENTRY_DSN)
