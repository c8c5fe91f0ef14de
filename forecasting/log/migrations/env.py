"""What alembic runs to take the steps: in a transaction handed to it, with no file of settings and no logging."""

from __future__ import annotations

from alembic import context

from forecasting.log.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    target_metadata=metadata,
    transactional_ddl=False,  # whoever hands the connection over has begun, and ends
)
context.run_migrations()
