from django.apps import AppConfig


class AssetsConfig(AppConfig):
    name = "wallet.assets"
    label = "assets"
    verbose_name = "What can be claimed"
