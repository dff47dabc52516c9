"""Run by Alembic: migrate on the connection that sqrtscale.store.migrate hands over."""

from alembic import context

from sqrtscale.store.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
