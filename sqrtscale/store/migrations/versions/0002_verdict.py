"""What lists show of the verdict: its outcome and its headline, both empty until somebody has judged."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("calibration", sa.Column("outcome", sa.String(12), nullable=False, server_default=""))
    op.add_column("calibration", sa.Column("answer", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    for column in ("answer", "outcome"):
        op.drop_column("calibration", column)
