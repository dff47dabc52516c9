"""What lists and the library show, in the calibration's own row; tags; and filters that were given a name.

Learning rates are taken from the plans. The numbers of the verdict are empty until it is judged again (``judging`` is 0), which
the list does by itself.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NUMBERS = ("lr", "scaled_lr", "difference", "low", "high", "margin", "noise_scale", "noise_low", "noise_high")
CALIBRATION = sa.table("calibration", sa.column("id"), sa.column("plan", sa.JSON), sa.column("lr"), sa.column("scaled_lr"))


def upgrade() -> None:
    for name in NUMBERS:
        op.add_column("calibration", sa.Column(name, sa.Double()))
    op.add_column("calibration", sa.Column("course", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("calibration", sa.Column("judging", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "tag",
        sa.Column("calibration_id", sa.String(12), nullable=False),
        sa.Column("tag", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["calibration_id"], ["calibration.id"], name="fk_tag_calibration_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("calibration_id", "tag", name="pk_tag"),
    )
    op.create_index("ix_tag_tag", "tag", ["tag"])
    op.create_table(
        "saved_filter",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_saved_filter"),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(CALIBRATION.c.id, CALIBRATION.c.plan)).all():
        rates = {"lr": lr_of(row.plan, "base"), "scaled_lr": lr_of(row.plan, "scaled")}
        connection.execute(CALIBRATION.update().where(CALIBRATION.c.id == row.id).values(**rates))


def lr_of(plan: dict[str, Any], name: str) -> float | None:
    """The learning rate of an arm; None in a plan that is none of ours."""
    try:
        return next(float(arm["config"]["lr"]) for arm in plan["arms"] if arm["name"] == name)
    except (LookupError, StopIteration, TypeError, ValueError):
        return None


def downgrade() -> None:
    for table in ("saved_filter", "tag"):
        op.drop_table(table)
    for column in ("judging", "course", *reversed(NUMBERS)):
        op.drop_column("calibration", column)
