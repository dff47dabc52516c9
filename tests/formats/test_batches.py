"""The batch of a file: its total stands, its parts are solved from it, and a patch changes what the program would read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import text_of

from sqrtscale.formats import patch, read
from sqrtscale.formats._batches import BATCH_PARTS, BatchParts
from sqrtscale.rules import FieldError, scale
from sqrtscale.rules.batch import Batch

COUNTS = st.integers(1, 64)


@given(COUNTS, COUNTS, COUNTS, st.sampled_from((*BATCH_PARTS, "total")))
def test_any_one_that_is_missing_is_solved_from_the_others(per_device, accumulation, devices, missing):
    whole = BatchParts(per_device, accumulation, devices, per_device * accumulation * devices)
    known = {name: getattr(whole, name) for name in (*BATCH_PARTS, "total") if name != missing}
    assert BatchParts(**known).solved() == whole
    assert whole.solved() == whole and whole.batch == Batch(per_device, accumulation, devices)


@given(COUNTS, COUNTS, COUNTS, st.integers(1, 10**6))
def test_a_total_that_is_not_the_product_is_a_contradiction(per_device, accumulation, devices, total):
    if total == per_device * accumulation * devices:
        return
    with pytest.raises(FieldError, match=f"= {total} contradicts per_device {per_device} x "):
        BatchParts(per_device, accumulation, devices, total).solved()


def test_devices_do_not_drop_the_total_of_the_file():
    text = text_of("deepspeed_total_and_micro.json")
    imported = read(text)
    assert imported.config({"devices": 64}).batch_size == 4096
    assert imported.parts({"devices": 64}) == Batch(16, 4, 64)
    scaled = scale(imported.config({"devices": 64}), 8192)
    known = json.loads(patch(text, imported, scaled, Batch(16, 8, 64)).text)
    assert (known["train_batch_size"], known["train_micro_batch_size_per_gpu"], known["gradient_accumulation_steps"]) == (
        8192,
        16,
        8,
    )
    unknown = json.loads(patch(text, imported, scaled).text)
    assert (unknown["train_batch_size"], unknown["train_micro_batch_size_per_gpu"]) == (8192, 16)
    assert "gradient_accumulation_steps" not in unknown


@pytest.mark.parametrize("devices, said", [(3, "contradicts per_device 16 x devices 3 = 48"), (512, "contradicts")])
def test_devices_that_do_not_divide_the_total_are_named(devices, said):
    with pytest.raises(FieldError, match=said):
        read(text_of("deepspeed_total_and_micro.json")).config({"devices": devices})


def test_torchtitans_global_batch_stands_whatever_the_devices():
    imported = read(text_of("torchtitan_global.toml"))
    for devices in (1, 8, 64):
        assert imported.config({"devices": devices}).batch_size == 256
    assert imported.parts({"devices": 8}) == Batch(4, 8, 8)


def test_a_larger_batch_of_one_device_is_the_users_choice_and_is_said():
    text = '{"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "learning_rate": 1e-4, "optim": "adamw_torch"}'
    imported = read(text)
    scaled = scale(imported.config({"devices": 4}), 256)
    kept = patch(text, imported, scaled, Batch(8, 8, 4))
    assert json.loads(kept.text)["gradient_accumulation_steps"] == 8
    assert any("stays 8, as the memory's limit" in note and "16x4x4" in note for note in kept.notes)
    larger = patch(text, imported, scaled, Batch(32, 2, 4))
    assert json.loads(larger.text)["per_device_train_batch_size"] == 32 and not any("memory" in note for note in larger.notes)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_what_was_worked_out_gives_way_to_what_a_user_says(per_device, accumulation, devices, other):
    parts = BatchParts(per_device, accumulation, devices).solved()
    assert parts.corrected({"devices": other}).total == per_device * accumulation * other
    total = per_device * accumulation * devices * other
    solved = BatchParts(None, accumulation, devices, total).solved()
    assert solved.corrected({"devices": other}) == BatchParts(per_device * devices, accumulation, other, total)
    larger = BatchParts(per_device, accumulation, devices * other, total)
    assert parts.corrected({"batch_size": total, "devices": devices * other}) == larger
