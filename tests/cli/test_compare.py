"""``sqrtscale runs compare``: the same lines as the page's."""

from __future__ import annotations

import json
import math

import pytest
import stored
from sqlalchemy import update

from sqrtscale.cli import main
from sqrtscale.store import Store
from sqrtscale.store.models import Calibration


@pytest.fixture
def store():
    opened = Store.open()
    yield opened
    opened.close()


def test_a_line_a_calibration_and_what_differs(store, capsys):
    ids = [stored.calibration(store, name="first"),
           stored.calibration(store, "FAILED", chosen=stored.plan(target=32), measured=[])]
    assert main(["runs", "compare", ids[0][:11], ids[1]]) == 0
    heads, first, second, _, differs, *fields = capsys.readouterr().out.splitlines()
    assert heads.split()[:3] == ["id", "Calibration", "Verdict"]
    assert first.startswith(f"{ids[0]}  first") and "matches" in first and "+0.01 (+0.01 to +0.01)" in first
    assert second.split()[:7] == [ids[1], "digits:", "batch", "8", "->", "32", "FAILED"]
    assert first.index("8 -> 64") == second.rindex("8 -> 32") == heads.index("Batch")
    assert differs.split() == ["differs", *ids]
    assert [line.split()[0] for line in fields] == ["batch", "kappa", "lr", "beta1", "beta2", "eps"]


def test_json_is_one_object(store, capsys):
    id = stored.calibration(store, chosen=stored.plan(seeds=1))
    assert main(["runs", "compare", id, id, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (row,) = said["calibrations"]
    assert (row["id"], row["kappa"], row["low"], row["outcome"]) == (id, 8, None, "cannot tell")
    assert row["difference"] == pytest.approx(0.01) and row["scaled_lr"] == pytest.approx(2e-3 * math.sqrt(8))
    assert {"name": "lr", "values": ["0.002 → 0.0056568542"], "differs": False} in said["fields"]


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "the following arguments are required: ID"), (["nowhere"], "ID = 'nowhere' is not a stored calibration")])
def test_bad_input_is_one_line(store, capsys, arguments, said):
    stored.calibration(store)
    assert main(["runs", "compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_one_that_cannot_be_read_does_not_hide_the_other(store, capsys):
    strange, whole = (stored.calibration(store, name=name) for name in ("strange", "whole"))
    with store._write.begin() as session:
        session.execute(update(Calibration).where(Calibration.id == strange).values(
            plan=stored.plan().as_dict() | {"task": "gone"}))
    assert main(["runs", "compare", strange, whole]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].startswith(f"{whole}  whole") and captured.err.startswith(f"Calibration {strange} cannot")
    assert main(["runs", "compare", strange]) == 2
    captured = capsys.readouterr()
    assert f"Calibration {strange} cannot be shown" in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert main(["runs", "tag", strange, "old"]) == 0 and store.tags_of(strange) == ("old",)
