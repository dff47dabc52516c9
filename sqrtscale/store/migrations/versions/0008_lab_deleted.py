"""When an experiment of the lab was put away."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("lab_run", sa.Column("deleted_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.execute("DELETE FROM lab_run WHERE deleted_at IS NOT NULL")  # an older program would show them again
    op.drop_column("lab_run", "deleted_at")
