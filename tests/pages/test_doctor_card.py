"""The card of the doctor on Calibrate."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest
from waiting import until

from sqrtscale.gpu import Detection, Diagnosis
from sqrtscale.ui import doctor_card

from .test_calibrate_page import opened, said, timed

__all__ = ["timed"]  # a fixture

ROW = {"what": "digits, adam", "device": "cpu", "executor": "compiled", "ms": 0.5, "difference": 1e-7, "agrees": True,
       "error": "", "seconds": 0.0}
ON_CPU = Diagnosis("cpu", "No GPU is here; calibrations run on the CPU", "", True, Detection("2.13.0+cpu"), rows=(ROW,))
NONE = Diagnosis("cpu", "No calibration can run: torch is not installed", "install torch", False)


@pytest.fixture(autouse=True)
def new_server():
    doctor_card.doctor.clear()
    yield
    doctor_card.doctor.clear()


def card(monkeypatch, answer: Diagnosis, before: Diagnosis | None = None) -> AppTest:
    """The page with the card open."""
    monkeypatch.setattr(doctor_card, "diagnose", lambda: answer)
    monkeypatch.setattr(doctor_card, "remembered", lambda: before)
    app = opened()
    app.session_state["doctor"] = True
    return app.run()


def tried(app: AppTest) -> AppTest:
    app.button(key="doctor-try").click().run()
    until(lambda: not doctor_card.doctor().busy, what="the trial")
    return app.run()


def test_it_says_what_calibrations_run_on(monkeypatch):
    app = card(monkeypatch, ON_CPU)
    assert "Nothing was tried here yet" in said(app)
    app = tried(app)
    assert ON_CPU.sentence + "." in said(app) and not app.exception
    assert any("digits, adam  cpu     compiled  0.5" in code.value for code in app.code)


def test_it_says_what_to_do(monkeypatch):
    app = tried(card(monkeypatch, NONE))
    assert [error.value.replace("\\", "") for error in app.error] == [
        "No calibration can run: torch is not installed. To do: install torch."]


def test_what_another_process_has_found_out_is_shown_at_once(monkeypatch):
    graph = Diagnosis("graph", "Calibrations run on NVIDIA H100, small steps as CUDA graphs", "", True, Detection("2.13.0"))
    app = card(monkeypatch, ON_CPU, before=graph)
    assert graph.sentence + "." in [success.value for success in app.success]
