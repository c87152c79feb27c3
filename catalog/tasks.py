"""What workers do for the catalog; importing this registers it with the ledger."""

from catalog.uploads import end_upload, import_upload

__all__ = ["end_upload", "import_upload"]
