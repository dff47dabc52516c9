"""What carried out a run's steps, which a curve depends on: runs of before get what they had, where that can be told.

Until now the number of models decided, too: on a CPU a wide model's steps were compiled unless few models trained on many cores.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ENGINE = 5  # the only one whose runs may stand for new ones
RUN = sa.table("run", sa.column("calibration_id"), sa.column("executor"))
CALIBRATION = sa.table("calibration", sa.column("id"), sa.column("task"), sa.column("plan", sa.JSON),
                       sa.column("environment", sa.JSON))


def upgrade() -> None:
    op.add_column("run", sa.Column("executor", sa.String(40), nullable=False, server_default=""))
    connection = op.get_bind()
    for row in connection.execute(sa.select(CALIBRATION)).all():
        if executor := executor_of(row.environment, row.task, row.plan.get("size", "tiny")):
            connection.execute(RUN.update().where(RUN.c.calibration_id == row.id).values(executor=executor))


def executor_of(environment: dict[str, Any], task: str, size: str) -> str:
    """The name of what trained in this environment; empty where that cannot be told."""
    if environment.get("engine") != ENGINE or task not in ("digits", "pydoc"):
        return ""
    if environment.get("device", "").startswith("cuda"):
        return "captured"
    if not {"numba", "scipy"} <= set(environment.get("packages", {})):
        return "eager"
    return "compiled" if size == "tiny" or environment.get("threads", 0) in (1, 2) else ""


def downgrade() -> None:
    op.drop_column("run", "executor")
