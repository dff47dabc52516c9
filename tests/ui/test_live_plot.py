"""What a chart is called when it is saved, and under which names Plotly knows its traces."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.ui import live_plot


@pytest.mark.parametrize(("parts", "name"), [
    (("My run: no. 3", "Validation loss"), "my-run-no-3-validation-loss"),
    (("digits: batch 256 → 1024", "difference to base"), "digits-batch-256-1024-difference-to-base"),
    (("Über/../etc", "verdict"), "uber-etc-verdict"), (("→", "κ"), "chart"), (("a" * 200, "loss"), "a" * 80 + "-loss")])
def test_the_name_of_a_file(parts, name):
    assert live_plot.file_name(*parts) == name


@given(st.text(), st.text())
def test_an_identifier_is_fit_for_a_selector_and_one_of_its_own(a, b):
    assert re.fullmatch(r"[A-Za-z0-9_-]*", live_plot.identifier(a))
    assert (live_plot.identifier(a) == live_plot.identifier(b)) == (a == b)
