"""Compare: several stored calibrations side by side, by their own address ``?ids=a,b,c``."""

from sqrtscale import runner
from sqrtscale.ui import compare_view
from sqrtscale.ui.state import open_store, through_app

through_app()
store = open_store()
runner.reconcile(store)
compare_view.show(store)
