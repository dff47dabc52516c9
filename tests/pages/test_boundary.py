"""What a page says when something goes wrong that nobody foresaw, or the store cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
import stored
from sqlalchemy import event, text
from streamlit.testing.v1 import AppTest

from sqrtscale.cli import main
from sqrtscale.home import home as home_folder
from sqrtscale.store import Store
from sqrtscale.ui import browse, forms, state
from sqrtscale.ui import stored as stored_view

ROOT = Path(__file__).resolve().parents[2]
STORE_PAGES = ["pages/calibrate.py", "pages/results.py"]


def opened(path: str = "", id: str = "") -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    if id:
        app.query_params["id"] = id
    return app.switch_page(path).run() if path else app


def the_error(app: AppTest) -> str:
    """The one error of the page, without the backslashes of Markdown; Streamlit's own box is not there."""
    assert not app.exception and len(app.error) == 1
    return app.error[0].value.replace("\\", "")


def newer() -> None:
    store = Store.open()
    with store._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()


def damaged() -> None:
    home_folder().mkdir(parents=True, exist_ok=True)
    (home_folder() / "sqrtscale.db").write_bytes(b"no database at all" * 100)


def no_folder() -> None:
    home_folder().parent.mkdir(parents=True, exist_ok=True)
    home_folder().write_text("a file where the folder should be")


@pytest.mark.parametrize("spoil", [newer, damaged, no_folder])
@pytest.mark.parametrize("page", STORE_PAGES)
def test_a_store_that_cannot_be_opened_is_told_in_the_words_of_the_command_line(page, spoil, failures, capsys):
    spoil()
    assert main(["runs", "list"]) == 1
    command_says = capsys.readouterr().err.strip()
    app = opened(page)
    assert the_error(app) == command_says and str(home_folder()) in command_says
    assert not app.code and "Traceback" not in str(app.main)
    assert [type(error).__name__ for error in failures] == ["StoreError"]
    failures.clear()
    assert opened().table  # Scale needs no store


def test_a_store_that_fails_later_is_told_in_one_sentence(failures):
    store = state.open_store()  # the server's, as the page opens it
    id = stored.calibration(store)
    app = opened("pages/results.py", id)
    assert not app.error
    store._engine.dispose()  # connections made from here on cannot write
    event.listen(store._engine, "connect", lambda connection, record: connection.execute("PRAGMA query_only=ON"))
    next(button for button in app.button if button.label == "Delete").click().run()
    assert the_error(app) == f"the database failed: attempt to write a readonly database: {home_folder() / 'sqrtscale.db'}"
    assert [type(error).__name__ for error in failures] == ["OperationalError"] and store.get(id).deleted_at is None
    failures.clear()
    store.close()


def broken(*arguments: object, **options: object) -> None:
    raise KeyError("an [odd] *key*")


def expect_a_report(app: AppTest, failures: list[BaseException]) -> None:
    """One sentence, and the traceback in a fold only."""
    assert the_error(app) == ("This part of the page failed (KeyError: \"'an [odd] *key*'\"): reload the page, and if it fails "
                              "again, report it with the text below.")
    fold = next(fold for fold in app.expander if fold.label == "What to report")
    assert not fold.proto.expanded and fold.code[0].value.startswith("sqrtscale ")
    assert fold.code[0].value.rstrip().endswith("KeyError: 'an [odd] *key*'") and "in broken" in fold.code[0].value
    assert len(failures) == 1
    failures.clear()


def test_any_other_error_of_a_page_is_a_sentence_with_a_way_to_report_it(monkeypatch, failures):
    monkeypatch.setattr(forms, "training_configuration", broken)
    expect_a_report(opened(), failures)


def test_an_error_of_a_fragment_too(monkeypatch, failures):
    store = Store.open()
    stored.calibration(store)
    monkeypatch.setattr(browse.runs, "calibrations_table", broken)
    expect_a_report(opened("pages/results.py"), failures)
    store.close()


def test_an_error_of_a_button_too(monkeypatch, failures):
    store = Store.open()
    app = opened("pages/results.py", stored.calibration(store))
    monkeypatch.setattr(stored_view, "_delete", broken)
    app.run()
    next(button for button in app.button if button.label == "Delete").click().run()
    expect_a_report(app, failures)
    store.close()


def test_stop_and_rerun_are_no_failures():
    """A page that stops and one that runs again: the fixture ``failures`` would fail this test."""
    assert len(opened("pages/results.py", "0" * 12).error) == 1  # it says that there is none, and stops
    app = opened()
    app.segmented_control(key="opt").set_value("rmsprop").run()
    assert not app.error and not app.exception
