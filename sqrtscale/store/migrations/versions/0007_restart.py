"""Whether a calibration goes on by itself after a restart of the machine; those of before do not."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("calibration", sa.Column("resume_after_restart", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("calibration", "resume_after_restart")
