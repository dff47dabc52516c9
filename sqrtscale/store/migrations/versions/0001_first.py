"""The first schema: calibration, run, chunk, event."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "calibration",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("note_version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("task", sa.String(40), nullable=False),
        sa.Column("optimizer", sa.String(40), nullable=False),
        sa.Column("base_batch", sa.BigInteger(), nullable=False),
        sa.Column("target_batch", sa.BigInteger(), nullable=False),
        sa.Column("seeds", sa.Integer(), nullable=False),
        sa.Column("start", sa.String(12), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        *(sa.Column(name, TIME) for name in
          ("started_at", "ended_at", "deleted_at", "cancel_requested_at", "heartbeat_at")),
        sa.Column("phase", sa.String(40), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("samples_per_second", sa.Double()),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.String(100), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("boot_id", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer()),
        sa.Column("pid_started", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_calibration"),
        sa.UniqueConstraint("id", name="uq_calibration_id"),
        sqlite_autoincrement=True,
    )
    for column in ("deleted_at", "state", "task"):
        op.create_index(f"ix_calibration_{column}", "calibration", [column])
    op.create_table(
        "event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calibration_id", sa.String(12), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["calibration_id"], ["calibration.id"], name="fk_event_calibration_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
    )
    op.create_index("ix_event_calibration_id", "event", ["calibration_id"])
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("calibration_id", sa.String(12), nullable=False),
        sa.Column("arm", sa.String(80), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("final", sa.JSON(), nullable=False),
        sa.Column("best", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["calibration_id"], ["calibration.id"], name="fk_run_calibration_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sa.UniqueConstraint("calibration_id", "arm", "seed", name="uq_run_calibration_id_arm_seed"),
    )
    op.create_index("ix_run_calibration_id", "run", ["calibration_id"])
    op.create_table(
        "chunk",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(80), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_chunk_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "metric", "sequence", name="pk_chunk"),
    )


def downgrade() -> None:
    for table in ("chunk", "run", "event", "calibration"):
        op.drop_table(table)
