"""Files that are sent to others hold text as text, whatever somebody typed: no formula for a spreadsheet, no HTML, no link."""

import csv
import io

import pandas as pd
import pytest
import stored
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sqrtscale.report import Report, Section, html, markdown, reported
from sqrtscale.report.comparison import csv as comparison_csv
from sqrtscale.report.comparison import gather
from sqrtscale.report.content import Table
from sqrtscale.store import Store
from sqrtscale.store.export import curves_csv
from sqrtscale.store.text import as_cells

HOSTILE = ["<img src=http://x.example/a.png>", "![a](http://x.example/a.png)", "[a](javascript:alert(1))", "<http://x.example>",
           "`<b>`", "\\[a](b)", "&lt;script&gt;", "www.x.example", "https://x.example", "HTTP://x.example", "[a]: http://x.example",
           "![a][b]", "<script>alert(1)</script>", "<!-- a", "```\n<b>", "a\n# b\n<b>c</b>"]


@pytest.fixture
def store():
    opened = Store.open()
    yield opened
    opened.close()


def tokens(text):
    """Every token of the Markdown, as an independent reader sees it."""
    reader, found = MarkdownIt("commonmark").enable("table"), []
    reader.validateLink = lambda address: True  # it would leave out javascript: and our own pictures
    for token in reader.parse(text):
        found += [token, *(token.children or [])]
    return found


def page_of(text):
    return Report(title=text, answer=text, sections=(Section(text, (text,), tables=(Table((text,), ((text,),)),), code=text),))


def assert_harmless(text, pictures=0):
    found = tokens(text)
    assert not [token.type for token in found if token.type in ("html_inline", "html_block", "link_open")]
    images = [token.attrs["src"] for token in found if token.type == "image"]
    assert len(images) == pictures and all(source.startswith("data:image/svg+xml;base64,") for source in images)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_and_html_hold_text_as_text(store, text):
    page = reported(store, store.get(stored.calibration(store, name=text)))
    assert_harmless(markdown(page), pictures=5)
    title = next(token for token in tokens(markdown(page)) if token.type == "inline").children
    assert "".join(token.content for token in title) == " ".join(text.split())  # and it still reads as it was typed
    # A bare address becomes a link where GitHub shows the file: not where its marks are escaped.
    prose = markdown(page_of(text)).split("```")[0]
    assert "://" not in prose and "www." not in prose
    assert "<script>alert" not in html(page) and "<img" not in html(page)


@given(st.text(st.sampled_from("ab<>[]()!\\`*_&;:/#|\n \"'=") | st.characters(), max_size=60))
def test_no_text_makes_html_a_link_or_an_image(text):
    assert_harmless(markdown(page_of(text)))


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x.example")']


@pytest.mark.parametrize("text", FORMULAS)
def test_a_spreadsheet_computes_no_text(store, text):
    id = stored.calibration(store, name=text)
    read = list(csv.DictReader(io.StringIO(comparison_csv(gather(store, [id])[0]))))
    assert read[0]["name"] == f"'{text.strip()}" or not text.strip().startswith(("=", "+", "-", "@"))
    table = as_cells(pd.DataFrame({"a": [text, "x"], "b": [-1.0, 1.0]}))
    assert table.to_dict("list") == {"a": [f"'{text}", "x"], "b": [-1.0, 1.0]}


def test_numbers_stay_numbers(store):
    measured = [stored.Measured("base", 0, 0, {"val_loss": -1.5, "train_loss": float("-inf")})]
    text = curves_csv(store, store.get(stored.calibration(store, measured=measured)))
    rows = {row["metric"]: row["value"] for row in csv.DictReader(io.StringIO(text))}
    assert rows == {"val_loss": "-1.5", "train_loss": "-inf"}
