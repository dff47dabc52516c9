"""The view of curves as an address says it: everything comes back, and nothing else gets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.ui import view
from sqrtscale.ui.view import View

METRICS = ("val_loss", "train_loss", "val_accuracy")
VIEWS = st.builds(View, st.sampled_from(METRICS), st.sampled_from(view.BANDS), *[st.booleans()] * 5)


@given(VIEWS)
def test_an_address_says_the_whole_view(chosen):
    assert view.read(view.texts_of(chosen, "val_loss"), METRICS, "val_loss") == chosen


@given(st.dictionaries(st.sampled_from([*view.KEYS, "id"]), st.text(max_size=3) | st.just("9" * 10_000)))
def test_whatever_an_address_says_it_is_a_view_of_this_task(texts):
    asked = view.read(texts, METRICS, "val_loss")
    assert asked.metric in METRICS and asked.band in view.BANDS
    assert view.texts_of(asked, "val_loss").items() <= texts.items()  # what is kept was said; the rest is a default


def test_defaults_are_left_out_and_the_others_are_short():
    assert view.texts_of(View("val_loss"), "val_loss") == {}
    assert view.texts_of(View("val_accuracy", "± std", True, True, True, True, True), "val_loss") == {
        "metric": "val_accuracy", "band": "std", "seeds": "1", "log": "xy", "x": "steps", "range": "whole"}


@pytest.mark.parametrize("texts", [{"metric": "other"}, {"band": "± std"}, {"log": "yx"}, {"seeds": "yes"}, {"x": "epochs"}])
def test_what_is_not_known_asks_for_nothing(texts):
    assert view.read(texts, METRICS, "val_loss") == View("val_loss")


def test_other_texts_of_an_address_are_not_the_views():
    assert view.carried({"id": "abc", "x": "steps", "text": "adam"}) == {"x": "steps"}
