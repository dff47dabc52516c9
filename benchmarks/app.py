"""Speed and memory of the app: a keystroke, the start, a thousand stored calibrations, a thousand page views.

    python benchmarks/app.py [--calibrations 1000] [--views 1000] [--repeat 20] [--skip-browser]

Starts real servers on homes of their own and speaks to them as a browser does, over the web socket, so that what is timed is
the server's share: from the message that asks for a page to the one that says its script has ended. The first paint is timed in
Chromium. Prints Markdown. Figures worth keeping go to benchmarks/RESULTS.md with device and date. Linux only.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shutil
import statistics
import tempfile
import time
from itertools import cycle
from pathlib import Path

from serving import Server, Visitor
from stored_many import fill

from sqrtscale.store import Store

CHROMIUM = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking")
TEXTS = ("1e-3", "1e-4", "3e-4", "2e-3", "5e-4")  # learning rates, typed in turn
REPORT_EVERY = 100


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--calibrations", type=int, default=1000)
    options.add_argument("--views", type=int, default=1000)
    options.add_argument("--repeat", type=int, default=20, help="timings of each; median and longest are printed")
    options.add_argument("--skip-browser", action="store_true", help="do not time the first paint in Chromium")
    chosen = options.parse_args()
    print(f"{_processor()}, {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
          f"Streamlit {_version('streamlit')}, {datetime.date.today()}\n")
    with tempfile.TemporaryDirectory(prefix="sqrtscale-") as folder:
        start(Path(folder) / "start", chosen.repeat, chosen.skip_browser)
        home = Path(folder) / "many"
        ids = _filled(home, chosen.calibrations)
        results(home, ids, chosen.repeat)
        memory(home, ids, chosen.views)


def start(home: Path, repeat: int, skip_browser: bool) -> None:
    """From a fresh process to the first page, and a keystroke on it."""
    began = time.perf_counter()
    with Server(home) as server:
        healthy = time.perf_counter() - began
        visitor = Visitor(server)
        first = visitor.open()
        mapped = (Path("/proc") / str(server.pid) / "maps").read_text()
        assert "/torch/" not in mapped, "the first page has loaded torch"
        print("## Start and keystroke\n\n| what | median s | longest s | CPU s |\n|---|---|---|---|")
        print(f"| fresh process until it answers (no torch is loaded) | {healthy:.2f} | | |")
        print(f"| its first page, server time | {first:.2f} | | |")
        _row("Scale page in a new session", [_new(server) for _ in range(repeat)])
        _row("one keystroke on the Scale page", [visitor.timed(lambda text=text: visitor.type("Learning rate", text))
                                                 for text, _ in zip(cycle(TEXTS), range(repeat), strict=False)])
    if not skip_browser:
        _first_paint(home, 3)


def _new(server: Server, page: str = "", query: str = "") -> tuple[float, float]:
    """Wall and CPU seconds of one page in a session of its own."""
    with Visitor(server) as visitor:
        found = visitor.timed(lambda: visitor.open(page, query))
    wanted = "bidi_component" if query else "dataframe" if page == "results" else "table"
    assert wanted in visitor.elements, f"the page {page}?{query} has no {wanted}"
    return found


def _first_paint(home: Path, repeat: int) -> None:
    """A fresh process and Chromium: until the first paint, and until the answer stands there."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    rows: dict[str, list[float]] = {name: [] for name in (
        "process start to the answer in Chromium", "address to first paint, fresh server", "address to the answer, fresh server",
        "address to first paint, again", "address to the answer, again")}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(CHROMIUM))
        for _ in range(repeat):
            began = time.perf_counter()
            context = browser.new_context()  # nothing is in its cache
            with Server(home) as server:
                for name in ("fresh server", "again"):
                    page = context.new_page()
                    asked = time.perf_counter()
                    page.goto(server.url)
                    page.get_by_test_id("stTable").first.wait_for(timeout=60_000)
                    now = time.perf_counter()
                    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
                    if name == "fresh server":
                        rows["process start to the answer in Chromium"].append(now - began)
                    rows[f"address to first paint, {name}"].append(paint)
                    rows[f"address to the answer, {name}"].append(now - asked)
                    page.close()
            context.close()
        browser.close()
    for name, seconds in rows.items():
        _row(name, [(one, float("nan")) for one in seconds])


def _filled(home: Path, count: int) -> list[str]:
    began = time.perf_counter()
    store = Store.open(f"sqlite:///{home / 'sqrtscale.db'}")
    ids = fill(store, count)
    store.close()
    size = (home / "sqrtscale.db").stat().st_size / 1e6
    print(f"\n## Results with {count:,} calibrations of 30 runs and a warm start, 25 points a curve\n\n"
          f"The database has {size:,.0f} MB and was made in {time.perf_counter() - began:.0f} s.\n")
    return ids


def results(home: Path, ids: list[str], repeat: int) -> None:
    """The list, searched and whole, and single calibrations, each for the first time and again."""
    print("| what | median s | longest s | CPU s |\n|---|---|---|---|")
    with Server(home) as server:
        _row("the list, first page of a fresh server", [_new(server, "results")])
        _row("one calibration, first one of a fresh server", [_new(server, "results", f"id={ids[-1]}")])
        _row("the list in a new session", [_new(server, "results") for _ in range(repeat)])
        with Visitor(server) as visitor:
            visitor.open("results")
            searches = zip(cycle(("adam", "number 1", "digits")), range(repeat), strict=False)
            _row("a search in the list", [visitor.timed(lambda text=text: visitor.type("Search", text)) for text, _ in searches])
            assert "dataframe" in visitor.elements
        chosen = ids[:: max(1, len(ids) // repeat)][:repeat]
        for what in ("for the first time", "again"):
            _row(f"one calibration, opened {what}", [_new(server, "results", f"id={id}") for id in chosen])


def memory(home: Path, ids: list[str], views: int) -> None:
    """Resident memory of a server over page views, each in a session of its own, as reloads of a browser are."""
    pages = [("", ""), ("calibrate", ""), ("results", ""), *[("results", "id={}")] * 3]
    print(f"\n## Memory over {views:,} page views\n\nHalf of them open a calibration, each time another one; the others are the "
          "Scale page, the Calibrate page and the list.\n\n| views | resident MB |\n|---|---|")
    number = cycle(ids)
    with Server(home) as server:
        for count, (page, query) in zip(range(1, views + 1), cycle(pages), strict=False):
            _new(server, page, query.format(next(number)) if query else "")
            if count % REPORT_EVERY == 0 or count == 1:
                print(f"| {count:,} | {server.resident / 1e6:.0f} |", flush=True)


def _row(what: str, timings: list[tuple[float, float]]) -> None:
    """One line of a table from (wall, CPU) seconds."""
    wall, cpu = zip(*timings, strict=True)
    used = statistics.median(cpu)
    print(f"| {what} | {statistics.median(wall):.3f} | {max(wall):.3f} | {'' if used != used else f'{used:.2f}'} |", flush=True)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main()
