"""The address of a comparison: read back as it was written, and harmless whatever stands in it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.report.comparison import AXES
from sqrtscale.ui.compare_link import MOST, MOST_ARMS, NAMES, SHOWS, UNITS, View, link, read, texts_of

IDS = st.lists(st.text("0123456789abcdef", min_size=12, max_size=12), max_size=MOST, unique=True).map(tuple)
NAMED = st.sampled_from(["base", "scaled", "linear lr", "scaled 1/2x", "own: lr=1e-3, beta2=0.99"])
ARMS = st.lists(NAMED, unique=True).map(tuple)
VIEWS = st.builds(View, IDS, st.sampled_from(SHOWS), st.sampled_from(AXES), st.sampled_from(["", "val_loss"]),
                  st.sampled_from(UNITS), st.none() | ARMS)


@given(VIEWS)
def test_a_view_comes_back_from_its_address(view):
    address = urlencode(texts_of(view))
    assert read(dict(parse_qsl(address, keep_blank_values=True))) == (view, ())


def test_what_is_usual_is_left_out():
    assert texts_of(View()) == {} and link(["a", "b"]) == {"ids": "a,b"}


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=200)))
def test_any_text_gives_a_view(texts):
    view, _ = read(texts)
    assert view.show in SHOWS and view.axis in AXES and view.unit in UNITS and len(view.ids) <= MOST
    assert read(texts_of(view)) == (view, ())  # what was made of it stands in the address from then on


def test_too_many_ids_and_too_long_texts_are_cut():
    ids = ",".join(f"{i:012x}" for i in range(40))
    view, words = read({"ids": ids, "arms": ";".join(map(str, range(99))), "metric": "m" * 9999})
    assert view.ids == tuple(f"{i:012x}" for i in range(MOST)) and len(view.arms) == MOST_ARMS and len(view.metric) <= 2000
    assert words == tuple(f"At most {most} {what} are shown at once: these are the first {most} of this address."
                          for most, what in ((MOST, "calibrations"), (MOST_ARMS, "arms of each calibration")))
    assert read({"ids": "," * 10**6})[0] == View()


@pytest.mark.parametrize("name", ["show", "axis", "unit"])
def test_an_unknown_choice_falls_back_with_a_word(name):
    view, (word,) = read({name: "sideways"})
    assert view == View() and word.startswith(f"{name} = 'sideways' is not known here: it shows {getattr(View(), name)}.")


def test_ids_are_taken_once_without_blanks():
    assert read({"ids": " a, b ,,a"})[0].ids == ("a", "b")
