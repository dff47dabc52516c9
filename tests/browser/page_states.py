"""Every page in every state, to be looked at (docs/screenshots.py) and to be read by a checker (test_accessible.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import stored
from driving import wait_ready
from pages.uploaded import files
from playwright.sync_api import Page

from sqrtscale.plan import CalibrationPlan
from sqrtscale.rules import TrainingConfig
from sqrtscale.store import Store
from sqrtscale.training.events import Measured

VERDICTS = {  # name -> how far scaled lies above base, how its seeds scatter about that, the noise scale in samples
    "matches": (0.0, 0.0005, 600.0), "differs": (0.2, 0.001, 600.0), "cannot tell": (0.03, 0.06, 600.0),
    "not a test": (0.0, 0.0005, 20.0)}
FILE = """{"optim": "adamw_torch", "learning_rate": 2e-4, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 4,
"max_steps": 10000, "weight_decay": 0.1}"""


@dataclass(frozen=True)
class PageState:
    """A page's address, and what is done there before it is looked at."""

    name: str
    path: str
    prepare: Callable[[Page], None] = lambda page: None

    def open(self, page: Page, url: str) -> None:
        """Open it at that server, until it has come to rest."""
        page.goto(url + self.path)
        rest(page)
        self.prepare(page)
        rest(page)


EMPTY = PageState("results-empty", "/results")  # before ``fill``


def rest(page: Page) -> None:
    """Until nothing moves any more and charts are drawn."""
    wait_ready(page)
    page.wait_for_load_state("networkidle")
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
    page.wait_for_function("[...document.querySelectorAll('.live-plot')].every(plot => plot.querySelector('.main-svg'))")


def unfold(page: Page) -> None:
    """Open whatever is folded."""
    for box in page.get_by_test_id("stExpander").all():
        if not box.locator("details[open]").count():
            box.locator("summary").click()
            wait_ready(page)


def choose_arms(page: Page) -> None:
    """Two further arms and two further batches on Calibrate."""
    unfold(page)
    for name in ("without beta2", "sqrt lr"):
        box = page.get_by_role("combobox", name="Ablations, other rules, SVAG")
        box.fill(name)
        box.press("Enter")
        wait_ready(page)
        page.keyboard.press("Escape")
    page.get_by_role("textbox", name="The rule at these batches as well").fill("16 32")
    page.keyboard.press("Enter")


def open_import(page: Page) -> None:
    """Open the box that takes other programs' files."""
    page.get_by_role("button", name="Import a configuration").click()
    page.get_by_role("textbox", name="Paste it here").wait_for()


def import_file(page: Page) -> None:
    """Import a file and answer what it does not say."""
    open_import(page)
    page.get_by_role("textbox", name="Paste it here").fill(FILE)
    page.get_by_role("button", name="Read", exact=True).click()
    page.get_by_role("textbox", name="How many data-parallel devices").fill("8")
    page.get_by_role("button", name="Use it").click()
    page.get_by_text("Read as").wait_for()
    page.keyboard.press("Escape")


def upload_logs(page: Page) -> None:
    """Upload the logs of three arms, so that what they do not say is asked."""
    logs = [{"name": name, "mimeType": "text/csv", "buffer": content} for name, content in files(seeds=2).items()]
    page.locator("input[type=file]:not([webkitdirectory])").set_input_files(logs)
    page.get_by_role("button", name=f"Remove {logs[-1]['name']}").wait_for(state="attached")
    page.get_by_role("button", name="Read").click()
    page.get_by_text("Yes, runs of the same seed").click()


def fill(store: Store) -> dict[str, str]:
    """Store a calibration of every kind; name -> id. Those under way belong to this process, and live as long as it does."""
    chosen, ids = stored.plan(seeds=4), {}
    for i, (name, numbers) in enumerate(VERDICTS.items(), 1):  # each of a configuration of its own, none the task's own
        of_it = stored.plan(seeds=4, base=TrainingConfig("adam", 8, {"lr": i * 1e-3 + 1e-4}))
        ids[name] = stored.calibration(store, chosen=of_it, name=f"Digits, {name}", measured=curves(of_it, *numbers))
    ids["failed"] = stored.calibration(store, "FAILED", chosen=chosen, measured=stored.points(chosen, 0.4),
                                       reason="RuntimeError: the disk is full")
    ids["running"] = stored.calibration(store, "RUNNING", chosen=chosen, measured=stored.points(chosen, 0.5))
    ids["queued"] = stored.calibration(store, "QUEUED", chosen=chosen)
    return ids


def curves(chosen: CalibrationPlan, above: float, scatter: float, noise_scale: float) -> list[Measured]:
    """The stored points with scaled as far above base, and with the gradient noise of base."""
    measured = []
    for point in stored.points(chosen):
        values = dict(point.values)
        if point.arm == "scaled":
            values["val_loss"] += above + scatter * (-1) ** point.seed - 0.01
        if point.arm == "base":
            values |= {"noise": noise_scale * (1 + 0.02 * point.seed), "signal": 1.0}
        measured.append(Measured(point.arm, point.seed, point.samples, values))
    return measured


def states(ids: Mapping[str, str]) -> list[PageState]:
    """All but the empty one."""
    return [
        PageState("scale", "/"),
        PageState("scale-refused", "/?lr=abc&b1=-3"),
        PageState("scale-warned", "/?b1=8192&steps=1001&warmup=10"),
        PageState("scale-import", "/", open_import),
        PageState("scale-imported", "/", import_file),
        PageState("scale-unfolded", "/?b1=2048&beta2=0.95&opt=adam", unfold),
        PageState("calibrate-good", "/calibrate"),
        PageState("calibrate-doubtful", "/calibrate?opt=adam&b0=64&b1=512&lr=0.002"),
        PageState("calibrate-hopeless", "/calibrate?opt=adam&b0=256&b1=1024"),
        PageState("calibrate-refused", "/calibrate?b0=4096&b1=8192&form=half-life"),
        PageState("calibrate-unfolded", "/calibrate", choose_arms),
        PageState("judge", "/judge", unfold),
        PageState("judge-asked", "/judge", upload_logs),
        PageState("results-list", "/results"),
        PageState("results-library", "/results?view=library"),
        *(PageState(f"result-{name.replace(' ', '-')}", f"/results?id={id}") for name, id in ids.items()),
        PageState("result-unfolded", f"/results?id={ids['matches']}", unfold),
        PageState("compare-unchosen", "/compare"),
        PageState("compare", f"/compare?ids={ids['matches']},{ids['differs']},{ids['running']}", unfold),
        PageState("lab", "/lab?b0=64&b1=256&beta2=0.99"),
    ]
