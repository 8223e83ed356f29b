"""The developers' tools as a Django app: local servers, races, faults and benchmarks. Installed in local mode only."""

from django.apps import AppConfig


class DevConfig(AppConfig):
    name = "dev"
