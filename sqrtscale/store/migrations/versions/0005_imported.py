"""The kind of a row: a calibration, as all were before, or a comparison of curves that were imported."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("calibration", sa.Column("kind", sa.String(12), nullable=False, server_default="calibration"))


def downgrade() -> None:
    op.execute("DELETE FROM calibration WHERE kind <> 'calibration'")  # an older program could not read them
    op.drop_column("calibration", "kind")
