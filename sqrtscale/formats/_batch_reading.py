"""The batch of a file that has been read: its parts from the file, its launcher and its program, and the questions left."""

from __future__ import annotations

from ._batches import PRODUCTS, BatchParts
from ._document import shown
from ._imported import Question
from ._launcher import launched
from ._reading import Reading

DEVICES = Question(
    "devices",
    "How many data-parallel devices does it run on? The global batch is per device x accumulation x "
    "devices, and devices that share one copy of the model count as one.",
)
PER_DEVICE = Question("per_device", "How many samples does one device take in one forward pass?")
BATCH_SIZE = Question("batch_size", "How many samples does one optimizer step see, over all devices and accumulated passes?")
ACCUMULATION = Question("accumulation", "How many passes are accumulated before an optimizer step?", 1)


def read_batch(reading: Reading) -> BatchParts:
    """The batch solved as far as it goes; what is missing becomes questions."""
    batch = reading.batch
    _take_the_launcher(reading)
    if batch["global_batch"] is None:
        _fill_in_defaults(reading)
        for product, factor in PRODUCTS.items():
            if (size := batch.get(product)) and (times := batch[factor]):
                batch["global_batch"] = size * times
    if batch["global_batch"] is None:
        _ask_for_the_batch(reading)
    parts = BatchParts(batch["per_device"], batch["accumulation"], batch["devices"], batch["global_batch"])
    return parts.solved(shown(reading.places["global_batch"]) if "global_batch" in reading.places else "global batch")


def _take_the_launcher(reading: Reading) -> None:
    """The devices that a command is started on, where nothing else says them; those that share a model count as one."""
    start = launched(reading.document)
    of_one_device = {"per_device", *PRODUCTS} & {*reading.places, *(question.field for question in reading.questions)}
    if start is None or reading.batch["devices"] is not None or not of_one_device:
        return
    devices, rest = divmod(start[0], reading.sharing)
    if rest or not devices or (reading.batch["global_batch"] or 0) % ((reading.batch["per_device"] or 1) * devices):
        return
    reading.batch["devices"] = devices
    if start[1] and reading.sharing == 1:
        reading.places["devices"] = start[1]
    else:
        reading.notes.append(f"The command starts {start[0]} processes, each on a device of its own: {devices} data-parallel.")


def _fill_in_defaults(reading: Reading) -> None:
    for part, default in reading.defaults.items():
        solved_later = part == "accumulation" and "passes" in reading.places
        if reading.batch.get(part) is None and part not in reading.autos and not solved_later:
            reading.batch[part] = default
            if part in reading.places:
                reading.assumed[part] = f"{part} = {default} ({shown(reading.places[part])}: the default of {reading.library})"


def _ask_for_the_batch(reading: Reading) -> None:
    batch = reading.batch
    asked = any(question.field == "per_device" for question in reading.questions)
    nowhere = "per_device" not in reading.places and not asked
    if batch["per_device"] is None and (nowhere or batch["accumulation"] is None):
        reading.ask(BATCH_SIZE.field, BATCH_SIZE.text)
        return
    wanted = {"per_device": PER_DEVICE, "accumulation": ACCUMULATION, "devices": DEVICES}
    for part, question in wanted.items():
        if batch[part] is None:
            reading.ask(part, question.text, question.default)
