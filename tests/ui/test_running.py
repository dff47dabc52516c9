"""The words of what runs: in the tab's title, in the line, in a notification."""

from __future__ import annotations

import pytest

from sqrtscale.ui.running import Ended, Underway, first_sentence, tab


def underway(state: str = "RUNNING", progress: float = 0.42, left: str = "about 3 min left") -> Underway:
    return Underway("a", "a name", state, progress, left)


def ended(state: str) -> Ended:
    return Ended("a", "a name", state, "")


@pytest.mark.parametrize(("running", "gone", "title"), [
    ([], [], "sqrtscale"), ([underway()], [], "42% · sqrtscale"), ([underway(), underway("QUEUED", 0)], [], "42% · sqrtscale"),
    ([underway("QUEUED", 0.0)], [ended("DONE")], "queued · sqrtscale"),
    ([], [ended("FAILED"), ended("DONE")], "done · sqrtscale")])
def test_the_title_says_how_far_the_first_is_or_how_the_last_has_ended(running, gone, title):
    assert tab(running, gone) == title


@pytest.mark.parametrize(("calibration", "words"), [
    (underway(), "42% · about 3 min left"), (underway(left=""), "42%"), (underway("QUEUED", 0.0, ""), ""),
    (underway("CANCELLING", 0.9, ""), "90%")])
def test_the_line_says_what_is_known(calibration, words):
    assert calibration.words == words


@pytest.mark.parametrize(("text", "sentence"), [
    ("Yes: to within 0.02 nats (3 seeds). The same test tells unscaled.", "Yes: to within 0.02 nats (3 seeds)."),
    ("No", "No"), ("", "")])
def test_the_first_sentence_does_not_end_at_a_decimal_point(text, sentence):
    assert first_sentence(text) == sentence
