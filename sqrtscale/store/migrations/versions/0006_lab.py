"""Experiments of the lab, in a table of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "lab_run",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        *(sa.Column(name, TIME) for name in ("started_at", "ended_at", "cancel_requested_at", "heartbeat_at")),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("boot_id", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer()),
        sa.Column("pid_started", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_lab_run"),
        sa.UniqueConstraint("id", name="uq_lab_run_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lab_run_state", "lab_run", ["state"])


def downgrade() -> None:
    op.drop_table("lab_run")
