"""A timer's request that comes while a change of page waits to begin, and what it says of widgets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.fragment import MemoryFragmentStorage
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequestType
from streamlit.runtime.state import SessionState

from sqrtscale.ui.timers import Runner

SENT = WidgetStates(widgets=[WidgetState(id="$$ID-0-lr", string_value="of the browser")])
TIMER = RerunData(page_script_hash="old", fragment_id="line", is_auto_rerun=True, widget_states=SENT)


@pytest.fixture
def waiting():
    """Makes a runner of that kind whose first run has not begun."""
    loop = asyncio.new_event_loop()

    def made(kind: type[ScriptRunner], first: RerunData) -> ScriptRunner:
        return kind(session_id="", main_script_path="app.py", session_state=SessionState(), uploaded_file_mgr=None,
                    script_cache=None, initial_rerun_data=first, user_info={}, fragment_storage=MemoryFragmentStorage(),
                    pages_manager=None, event_loop=loop)

    yield made
    loop.close()


def begins_with(runner: ScriptRunner) -> RerunData:
    request = runner._requests.on_scriptrunner_ready()
    assert request.type is ScriptRequestType.RERUN
    return request.rerun_data


def test_the_change_of_page_stays_what_it_is(waiting):
    for kind, page in (ScriptRunner, "old"), (Runner, "new"):  # the first is what Streamlit does
        runner = waiting(kind, RerunData(page_script_hash="new"))
        assert runner.request_rerun(TIMER)
        assert begins_with(runner).page_script_hash == page


def test_two_fragments_are_both_run(waiting):
    runner = waiting(Runner, RerunData(page_script_hash="old", fragment_id="curves", is_auto_rerun=True))
    assert runner.request_rerun(TIMER)
    assert begins_with(runner).fragment_id_queue == ["curves", "line"]


def test_what_a_person_asks_for_is_never_dropped(waiting):
    runner = waiting(Runner, RerunData(page_script_hash="old"))
    assert runner.request_rerun(RerunData(page_script_hash="new"))
    assert begins_with(runner).page_script_hash == "new"


@pytest.mark.parametrize("first", [True, False])
def test_what_the_browser_says_of_widgets_by_a_timer_is_no_input(waiting, first, monkeypatch):
    """Nor is it nothing at all, after which Streamlit would take the last click for a new one."""
    runner = waiting(Runner, TIMER if first else replace(TIMER, fragment_id="curves"))
    assert first or runner.request_rerun(TIMER)
    ran = []
    runner._pages_manager = SimpleNamespace(current_page_script_hash="old")
    monkeypatch.setattr(ScriptRunner, "_run_script", lambda runner, rerun_data: ran.append(rerun_data))
    runner._run_script(begins_with(runner))
    assert [rerun_data.widget_states for rerun_data in ran] == [WidgetStates()]


@pytest.mark.parametrize("timer_first", [True, False])
def test_what_a_click_says_stays_beside_a_timer(waiting, timer_first):
    typed = WidgetStates(widgets=[WidgetState(id="$$ID-0-lr", string_value="typed")])
    click = replace(TIMER, is_auto_rerun=False, widget_states=typed)
    first, then = (TIMER, click) if timer_first else (click, TIMER)
    runner = waiting(Runner, first)
    assert runner.request_rerun(then)
    assert begins_with(runner).widget_states == typed
