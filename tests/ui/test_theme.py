"""The theme: the two colours are the same everywhere and readable, and the server keeps to this machine."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sqrtscale.arms import DEFAULT_ARMS as ARMS
from sqrtscale.plan import WARM_START
from sqrtscale.ui import colours

CONFIG = tomllib.loads((Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml").read_text())
LEAST_FOR_LINES, LEAST_FOR_TEXT = 3.0, 4.5  # WCAG 2.2, 1.4.11 and 1.4.3


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_arm_has_its_colour_and_the_theme_repeats_them():
    arms = [colours.BASE, colours.SCALED, colours.UNSCALED, colours.LINEAR_LR]
    assert [colours.style(arm)[0] for arm in ARMS] == arms == CONFIG["theme"]["chartCategoricalColors"]
    assert {WARM_START, *ARMS} == set(colours.OF_AN_ARM)
    for mode in ("light", "dark"):
        assert CONFIG["theme"][mode]["blueColor"] == colours.BASE
        assert CONFIG["theme"][mode]["orangeColor"] == colours.SCALED


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_colours_can_be_seen_on_both_backgrounds(mode):
    theme = CONFIG["theme"][mode]
    assert {colours.style(arm)[0] for arm in ("noise-aware 567", "noise-aware schedule")} == {colours.NOISE_AWARE}
    for arm, (colour, _) in {**colours.OF_AN_ARM, "noise-aware 567": colours.style("noise-aware 567")}.items():
        assert contrast(colour, theme["backgroundColor"]) >= LEAST_FOR_LINES, arm
    for name in ("textColor", "blueTextColor", "orangeTextColor", "violetTextColor", "grayTextColor", "linkColor"):
        assert contrast(theme[name], theme["backgroundColor"]) >= LEAST_FOR_TEXT, name


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_main_action_can_be_read_and_seen(mode):
    """Streamlit writes white on the primary colour, whatever the theme."""
    theme = CONFIG["theme"][mode]
    assert contrast("#FFFFFF", theme["primaryColor"]) >= LEAST_FOR_TEXT
    assert contrast(theme["primaryColor"], theme["backgroundColor"]) >= LEAST_FOR_LINES


def test_faint_colours_keep_their_hue():
    assert colours.faint("#2563EB", 0.5) == "rgba(37, 99, 235, 0.5)"


def test_the_server_is_for_this_machine_and_tells_nobody():
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert set(CONFIG["server"]["allowedHosts"]) == {"localhost", "127.0.0.1"}
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["client"]["showErrorDetails"] == "none"
