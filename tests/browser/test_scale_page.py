"""The Scale page in a real Chromium."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from driving import wait_ready
from playwright.sync_api import Page, expect


def field(page: Page, label: str):
    return page.get_by_role("textbox", name=label, exact=True)


def choose(page: Page, label: str):
    page.get_by_test_id("stButtonGroup").get_by_text(label, exact=True).click()


def row(page: Page, label: str):
    """One row of the answer."""
    return page.get_by_test_id("stTable").get_by_role("row").filter(has_text=re.compile(f"^{re.escape(label)}"))


def code(page: Page):
    return page.get_by_test_id("stCode").first


def test_an_answer_while_typing_and_a_link_that_shares_it(visit, context, server):
    page = visit()
    expect(row(page, "Learning rate")).to_contain_text("0.002")
    field(page, "Target batch").fill("2048")
    box = field(page, "Learning rate")
    for typed, scaled in (("1e-3", "0.0028284271"), (".5", "1.4142136"), ("3e-4", "0.00084852814")):
        box.click()
        box.press("ControlOrMeta+a")
        box.press_sequentially(typed)  # and neither Enter nor a click elsewhere
        expect(row(page, "Learning rate")).to_contain_text(scaled)
        expect(code(page)).to_contain_text("lr=")
        expect(page).to_have_url(f"{server.url}/?b1=2048&lr={typed}")
    again = context.new_page()
    again.goto(page.url)
    wait_ready(again)
    expect(row(again, "Learning rate")).to_contain_text(scaled)
    expect(field(again, "Learning rate")).to_have_value(typed)
    assert again.get_by_test_id("stTable").inner_text() == page.get_by_test_id("stTable").inner_text()


def test_inputs_typed_one_after_another_all_count(visit, server):
    page = visit()
    for label, text in (("Base batch", "64"), ("Target batch", "128"), ("Learning rate", "2e-4"), ("beta1", "0.8"),
                        ("beta2", "0.98"), ("Epsilon", "1e-7"), ("Weight decay (decoupled)", "0.05")):
        field(page, label).fill(text)
    expect(row(page, "Weight decay")).to_contain_text("0.070710678")
    expect(row(page, "Learning rate")).to_contain_text("0.00028284271")
    expect(page).to_have_url(f"{server.url}/?b0=64&b1=128&lr=2e-4&wd=0.05&beta1=0.8&beta2=0.98&eps=1e-7")
    expect(field(page, "Base batch")).to_have_value("64")


BAD = [  # field, text, message
    ("Base batch", "zero", "batch_size = 'zero' is not allowed: give a whole number"),
    ("Target batch", "0", "target_batch = 0 is not allowed: give a whole number"),
    ("Learning rate", "-1", "lr = -1 is not allowed: give a finite number above 0"),
    ("beta1", "1", "beta1 = 1 is not a decay rate: give a number in [0, 1)"),
    ("beta2", "nan", "beta2 = nan is not a decay rate: give a number in [0, 1)"),
    ("Epsilon", "1e-8x", "eps = '1e-8x' is not allowed: give a finite number, 0 or more"),
    ("Weight decay (decoupled)", "1e999", "weight_decay = inf is not allowed: give a finite number, 0 or more"),
]


def test_bad_input_shows_its_message_and_no_stale_answer(visit):
    page = visit()
    for label, text, message in BAD:
        expect(page.get_by_test_id("stTable")).to_be_visible()
        box = field(page, label)
        expect(box).not_to_have_value("")  # for a moment, in the browser, before its value has come
        usual = box.input_value()
        box.fill(text)
        expect(page.get_by_text(message)).to_have_count(1)
        expect(page.get_by_test_id("stAlert")).to_contain_text(f"What is wrong stands below {label}.")
        expect(page.get_by_test_id("stTable")).to_have_count(0)
        expect(page.get_by_test_id("stCode")).to_have_count(0)
        box.fill(usual)
    expect(page.get_by_test_id("stTable")).to_be_visible()
    box.fill(text)
    expect(page.get_by_text(message)).to_be_visible()
    expect(page).to_have_url(re.compile("wd=1e999"))
    page.reload()
    wait_ready(page)
    expect(page.get_by_text(message)).to_be_visible()
    expect(field(page, label)).to_have_value(text)


def test_a_bad_link_does_not_break_the_page(visit):
    page = visit("/?opt=lion&lr=abc&b1=-3&form=banana&beta1=%3Cb%3E**x**&nonsense=1")
    for name in ("optimizer = 'lion'", "lr = 'abc'", "target_batch = -3", "decay_form = 'banana'", "beta1 = '<b>**x**'"):
        expect(page.get_by_test_id("stMain").get_by_text(name)).to_be_visible()
    choose(page, "Adam")
    expect(page.get_by_test_id("stMain").get_by_text("lion")).to_have_count(0)
    expect(page).to_have_url(re.compile("opt=adam"))


def test_another_optimizer(visit, server):
    page = visit("/?b1=512")
    choose(page, "RMSprop")
    expect(row(page, "alpha")).to_contain_text("0.98")
    expect(field(page, "beta1")).to_have_count(0)
    expect(code(page)).to_contain_text("torch.optim.RMSprop(")
    expect(page).to_have_url(re.compile("opt=rmsprop"))
    page.reload()
    wait_ready(page)
    expect(row(page, "alpha")).to_contain_text("0.98")


def test_half_life_beside_a_decay_without_a_number(visit):
    page = visit("/?b1=8192")
    expect(row(page, "beta1")).to_contain_text("no number")
    page.get_by_role("button", name="Use the half-life form").click()
    expect(row(page, "beta1")).to_contain_text("0.034336838")
    expect(page).to_have_url(re.compile("form=half-life"))
    wait_ready(page)  # the button has set the choice below: until the page rests, that setting may overtake a click on it
    choose(page, "Linear")
    expect(row(page, "beta1")).to_contain_text("no number")


def test_back_and_forward_undo_and_redo(visit):
    page = visit("/?lr=3e-4")
    expect(row(page, "Learning rate")).to_contain_text("0.0006")
    field(page, "Learning rate").fill("5e-4")
    expect(row(page, "Learning rate")).to_contain_text("√4 · 0.0005")
    expect(page).to_have_url(re.compile("lr=5e-4"))
    page.go_back()
    expect(row(page, "Learning rate")).to_contain_text("√4 · 0.0003")
    expect(field(page, "Learning rate")).to_have_value("3e-4")
    page.go_forward()
    expect(row(page, "Learning rate")).to_contain_text("√4 · 0.0005")


def test_inputs_are_still_there_after_another_page(visit):
    page = visit("/?lr=3e-4&steps=1000")
    expect(row(page, "Total steps")).to_contain_text("250")
    page.get_by_test_id("stTopNavLink").filter(has_text="Results").click()
    expect(page).to_have_url(re.compile("/results"))
    wait_ready(page)
    page.get_by_test_id("stTopNavLink").filter(has_text="Scale").click()
    expect(row(page, "Total steps")).to_contain_text("250")
    expect(page).to_have_url(re.compile("lr=3e-4"))


def test_calibrate_this_share_and_download(visit, server, tmp_path):
    page = visit("/?opt=adam&lr=3e-4&b0=32&b1=64")
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_test_id("stPopoverBody")).to_contain_text(f"{server.url}/?opt=adam&b0=32&b1=64&lr=3e-4")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    saved = tmp_path / "scaled.json"
    download.value.save_as(saved)
    assert download.value.suggested_filename == "sqrtscale-adam-32-64.json"
    assert json.loads(saved.read_text())["scaled"]["betas"] == [0.8, 0.998]
    page.get_by_role("button", name="Calibrate this").click()
    expect(page).to_have_url(re.compile(r"/calibrate\?"))
    for part in ("opt=adam", "lr=0.0003", "b0=32", "b1=64", "beta1=0.9"):
        assert part in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(visit, page, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    visit("/?opt=rmsprop&b0=256&b1=300&steps=100000&warmup=2000")
    expect(row(page, "Warm-up steps")).to_contain_text("1707")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    table = page.get_by_test_id("stTable").bounding_box()
    assert table["x"] >= 0 and table["x"] + table["width"] <= width
    background = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(14, 17, 23)"}[scheme]


def test_the_server_listens_on_this_machine_only(server):
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
                 if line.split()[1].endswith(f":{server.port:04X}") and line.split()[3] == "0A"]
    assert listening == [f"0100007F:{server.port:04X}"]
    assert "Network URL" not in server.log.read_text()


ARGUMENTS = """{
  "optim": "adamw_torch",
  "learning_rate": 2e-4,
  "weight_decay": 0.1,
  "per_device_train_batch_size": 8,
  "gradient_accumulation_steps": 4,
  "max_steps": 10000
}
"""


def test_a_pasted_file_is_asked_for_what_it_lacks_and_comes_back_patched(visit, tmp_path):
    page = visit()
    page.get_by_role("button", name="Import a configuration").click()
    page.get_by_role("textbox", name="Paste it here").fill(ARGUMENTS)
    page.get_by_role("button", name="Read", exact=True).click()
    expect(page.get_by_test_id("stPopoverBody")).to_contain_text("The file does not say:")
    page.get_by_role("textbox", name="How many data-parallel devices").fill("8")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("Read as Hugging Face TrainingArguments")).to_be_visible()
    page.keyboard.press("Escape")
    expect(field(page, "Base batch")).to_have_value("8 × 4 × 8")
    expect(row(page, "Learning rate")).to_contain_text("0.0004")
    expect(code(page)).to_contain_text('+  "learning_rate": 4e-4,')
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the file").click()
    download.value.save_as(tmp_path / "patched.json")
    patched = json.loads((tmp_path / "patched.json").read_text())
    assert (patched["learning_rate"], patched["gradient_accumulation_steps"], patched["max_steps"]) == (4e-4, 16, 2500)
    page.get_by_role("button", name="Put aside").click()
    expect(code(page)).to_contain_text("torch.optim.AdamW(")


def test_a_checkpoint_is_read_without_running_it_and_bad_files_say_why(visit, tmp_path):
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    torch.save({"optimizer_state_dict": torch.optim.AdamW([weight], lr=3e-4).state_dict()}, tmp_path / "last.pt")
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    page = visit()
    page.get_by_role("button", name="Import a configuration").click()
    body, read = page.get_by_test_id("stPopoverBody"), page.get_by_role("button", name="Read", exact=True)
    held = []
    page.route("**/_stcore/upload_file/**", lambda route: held.append(route))
    for name, said in (("bad.pt", "is no PyTorch checkpoint"), ("last.pt", "How many samples does one optimizer step see")):
        with page.expect_request("**/_stcore/upload_file/**"):
            page.locator("input[type=file]").set_input_files(tmp_path / name)
        expect(body.get_by_text(name)).to_be_visible()
        expect(read).to_be_disabled()  # the file is on its way
        for route in held:
            route.continue_()
        held.clear()
        read.click()
        expect(body).to_contain_text(said)
    page.get_by_role("textbox", name="How many samples").fill("512")
    page.get_by_role("button", name="Use it").click()
    expect(row(page, "Learning rate")).to_contain_text("0.0003")
    expect(field(page, "Base batch")).to_have_value("512")


def test_what_unfolds_below_the_answer(visit, page):
    page.set_viewport_size({"width": 390, "height": 900})
    visit("/?b0=8x4x8&b1=2048&beta2=0.95")
    expect(page.get_by_text("12% less per sample")).to_be_visible()
    page.get_by_text("Correct lr for it").click()
    expect(row(page, "Learning rate")).to_contain_text("0.0031987567")
    expect(page).to_have_url(re.compile("corr=1"))
    page.get_by_text("How far: every field over κ").click()
    expect(page.locator(".live-plot .subplot")).to_have_count(7)
    page.get_by_text("Other rules beside this one").click()
    expect(page.get_by_text("Marek et al. 2025")).to_be_visible()
    page.get_by_role("textbox", name="Noise scale").fill("567")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3.6 times your noise scale: the square root falls short by 44%")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Noise-aware")).to_have_count(2)  # the answer and the other rules
    expect(page).to_have_url(re.compile("noise=567"))
    page.get_by_role("radio", name="Noise-aware").click()
    expect(page.get_by_text("noise-aware transfer, noise scale 567")).to_be_visible()
    page.get_by_text("Noise scales that were measured").click()
    expect(page.get_by_text("No stored calibration has measured one yet")).to_be_visible()
    page.get_by_text("Devices and accumulation").click()
    expect(page.get_by_text("8 × 32 × 8").last).to_be_visible()
    page.get_by_text("Change the batch during training").click()
    page.get_by_role("textbox", name="Stages").fill("256:1000000 512:2000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="From sample")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
