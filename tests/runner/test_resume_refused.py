"""Going on is refused where it cannot go well, and what was stored stays as it was."""

import pytest
import stored

from sqrtscale import runner
from sqrtscale.cli import main
from sqrtscale.rules import FieldError
from sqrtscale.runner.rescued import Rescue, goes_on, rescue_file
from sqrtscale.runner.snapshots import folder
from sqrtscale.runner.supervisor import Supervisor

PLAN = stored.plan(arms=["base", "scaled"])


def test_a_home_that_takes_no_folder_leaves_the_calibration_ended(store, home):
    """In the queue without a folder nobody would start it."""
    id = stored.calibration(store, "FAILED", chosen=PLAN)
    (home / "calibrations").write_text("in the way")
    with pytest.raises(OSError, match="calibrations"):
        runner.resume(store, id)
    assert store.get(id).state == "FAILED"


@pytest.mark.fault(
    "a calibration shall go on that has a rescue file",
    "refused, with the command that imports it; what has a name, a note and tags in the database keeps them")
def test_a_rescue_file_has_to_be_imported_first_because_it_would_take_the_end(store, capsys):
    """What was measured after the database was lost is all in there; the database is back as it was before."""
    id = stored.calibration(store, "INTERRUPTED", chosen=PLAN, measured=stored.points(PLAN, 0.5))
    folder(id).mkdir(parents=True)
    (folder(id) / "1.snapshot").touch()
    assert goes_on(id)
    rescue = Rescue(store, id, stored.ENVIRONMENT).begin("was deleted")
    rescue.write_points(id, stored.points(PLAN))
    rescue.transition(id, "FAILED", among=["RUNNING"], reason="a reason")
    rescue.close()
    command = f"sqrtscale store import {rescue_file(id)}"
    with pytest.raises(FieldError, match=f"first run {command}"):
        runner.resume(store, id)
    assert store.get(id).state == "INTERRUPTED" and not goes_on(id)
    assert main(["runs", "show", id]) == 0 and command in capsys.readouterr().out

    store.resume(id)  # a backup in which it is queued
    assert Supervisor(store, id).run() == 1
    record = store.get(id)
    assert record.state == "FAILED" and command in record.reason

    assert main(["store", "import", str(rescue_file(id))]) == 0 and f"{id} is taken over" in capsys.readouterr().out
    assert goes_on(id) and store.get(id).reason == "a reason"


def test_a_rescue_file_with_nothing_new_is_out_of_the_way_after_the_import(store, capsys):
    id = stored.calibration(store, "FAILED", chosen=PLAN)
    rescue = Rescue(store, id, stored.ENVIRONMENT).begin("was deleted")
    rescue.transition(id, "FAILED", among=["RUNNING"])
    rescue.close()
    assert main(["store", "import", str(rescue_file(id))]) == 0 and f"{id} is there already" in capsys.readouterr().out
    assert not rescue_file(id).exists()
