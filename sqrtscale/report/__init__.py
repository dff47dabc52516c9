"""A calibration, or an imported comparison, as one page that can be sent to a colleague: HTML in one file, or Markdown."""

from __future__ import annotations

import base64
import re
from html import escape

from ..store import CalibrationRecord, ImportedRecord, Record, Store
from .caveats import caveats
from .command import command, version_note
from .content import Report, Section, Table, report
from .explanation import branching, followed, reasons
from .foresight import curvature_reach
from .imported import files, how_to_repeat, imported_report, judge_command, origin
from .judging import (
    NO_TEST,
    catch_up,
    comparable,
    decided,
    differences,
    frontier,
    headline,
    judged,
    keep,
    never_a_test,
    regimes,
    sentences,
    stopped_early,
    tested_at,
    verdicts,
    was_stopped,
)

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #111827; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.answer { font-size: 1.25rem; border-left: 4px solid #EA580C; padding: .4rem 0 .4rem 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #DFE3E8; }
pre { background: #F6F7F9; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
svg { width: 100%; height: auto; }
"""


def reported(store: Store, record: Record) -> Report:
    """The report of what is stored; raises DamagedChunk where its curves cannot be read."""
    curves = comparable(store, record)
    measured = regimes(record, curves)
    judgement = verdicts(record, curves, measured=measured)
    reach = frontier(record, judgement)
    if isinstance(record, CalibrationRecord):
        return report(record, curves, judgement, measured, reach)
    assert isinstance(record, ImportedRecord)
    return imported_report(record, curves, judgement, measured, reach)


def html(page: Report) -> str:
    """One file without script, font or request."""
    body = "".join(_section_html(section) for section in page.sections)
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{escape(page.title)}</title><style>{STYLE}</style></head><body><h1>{escape(page.title)}</h1>"
            f'<p class="answer">{_words(page.answer)}</p>{body}</body></html>\n')


def _section_html(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", *(f"<p>{_words(text)}</p>" for text in section.paragraphs), *section.pictures]
    for table in section.tables:
        head = "".join(f"<th>{escape(name)}</th>" for name in table.heads)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
    if section.code:
        parts.append(f"<pre>{escape(section.code)}</pre>")
    return "".join(parts)


def _words(text: str) -> str:
    """Text with its **bold** words in bold."""
    pieces = escape(text).split("**")
    return "".join(f"<strong>{piece}</strong>" if i % 2 else piece for i, piece in enumerate(pieces))


def markdown(page: Report) -> str:
    """The same as Markdown, the pictures inside as SVG."""
    parts = [f"# {_prose(page.title)}", f"> {_prose(page.answer)}"]
    for section in page.sections:
        parts += [f"## {_prose(section.title)}", *map(_prose, section.paragraphs), *map(_picture, section.pictures),
                  *map(_table, section.tables)]
        if section.code:
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", section.code)), default=0))
            parts.append(f"{fence}bash\n{section.code}\n{fence}")
    return "\n\n".join(parts) + "\n"


def _prose(text: str) -> str:
    """Text in Markdown with its **bold** words: no HTML, no link and no image, nor a link made of a bare address."""
    text = re.sub(r"([\\<&\[\]`])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?<=:)(?=//)|(?<=www)(?=\.)", r"\\", text, flags=re.IGNORECASE)


def _picture(svg: str) -> str:
    return f"![curves](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _table(table: Table) -> str:
    rows = [table.heads, tuple("---" for _ in table.heads), *table.rows]
    return "\n".join("| " + " | ".join(_prose(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


REPORTS = {"html": html, "md": markdown}

__all__ = [
    "NO_TEST", "REPORTS", "Report", "branching", "catch_up", "caveats", "command", "comparable", "curvature_reach", "decided",
    "differences", "files", "followed", "frontier", "headline", "how_to_repeat", "html", "judge_command", "judged", "keep",
    "markdown", "never_a_test", "origin", "reasons", "regimes", "report", "reported", "sentences", "stopped_early", "tested_at",
    "verdicts", "version_note", "was_stopped",
]
