"""Lab: how the algorithm becomes its SDE as the batch shrinks, and what breaks where an assumption is switched off."""

from sqrtscale.ui import lab_view
from sqrtscale.ui.state import through_app

through_app()
lab_view.show()
