"""Brings the tables of the application's database up to date."""

from __future__ import annotations

from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from afterimage_web.embedded.addresses import EmbeddedError


def migrate() -> None:
    """Apply what is missing. Raises EmbeddedError if a later version of the application has been here."""
    loader = MigrationLoader(connection)
    known = set(loader.disk_migrations) | {old for new in loader.replacements.values() for old in new.replaces}
    unknown = sorted(key for key in set(loader.applied_migrations) - known if key[0] in loader.migrated_apps)
    if unknown:
        raise EmbeddedError(
            f"The database was last used by a later version of AfterImage (it knows {'.'.join(unknown[0])}): "
            "update this one, or name another data folder."
        )
    if loader.graph.leaf_nodes() and set(loader.disk_migrations) - set(loader.applied_migrations):
        call_command("migrate", verbosity=0, interactive=False)
    connection.close()
