from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class LedgerConfig(AppConfig):
    name = "ledger"

    def ready(self) -> None:
        # Handlers and run ends are registered where every process finds them: a page may cancel a run.
        autodiscover_modules("tasks")
