"""What lists show, in the calibration's own row: outcome and headline of the verdict, and the arms' end values.

The verdict is empty until somebody has judged; end values are taken from the runs.
"""

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

from sqrtscale.store.models import Numbers, Spreads
from sqrtscale.store.records import ends

revision = "0002"
down_revision = "0001"

RUN = sa.table("run", sa.column("id"), sa.column("calibration_id"), sa.column("arm"), sa.column("final", Numbers))
CALIBRATION = sa.table("calibration", sa.column("id"), sa.column("ends", Spreads))


def upgrade() -> None:
    op.add_column("calibration", sa.Column("outcome", sa.String(12), nullable=False, server_default=""))
    op.add_column("calibration", sa.Column("answer", sa.Text(), nullable=False, server_default=""))
    op.add_column("calibration", sa.Column("ends", sa.JSON(), nullable=False, server_default="{}"))
    runs: defaultdict[str, list[tuple[str, dict[str, float]]]] = defaultdict(list)
    for run in op.get_bind().execute(sa.select(RUN).order_by(RUN.c.id)):
        runs[run.calibration_id].append((run.arm, run.final))
    for id, finals in runs.items():
        op.get_bind().execute(CALIBRATION.update().where(CALIBRATION.c.id == id).values(ends=ends(finals)))


def downgrade() -> None:
    for column in ("ends", "answer", "outcome"):
        op.drop_column("calibration", column)
