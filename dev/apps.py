"""The developers' tools as a Django app: local servers, races, faults and benchmarks. Installed in local mode only."""

from django.apps import AppConfig

from dev.following_clock import follow_test_clock


class DevConfig(AppConfig):
    name = "dev"

    def ready(self) -> None:
        """Follow the test clock of a sandbox database."""
        follow_test_clock()
