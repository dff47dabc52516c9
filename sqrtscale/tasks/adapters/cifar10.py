"""CIFAR-10 with the networks of the paper's experiments: ``sqrtscale tasks get cifar10``, or ``add cifar10:FOLDER``."""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...rules import FieldError
from ...rules.errors import choice
from .adapter import Adapter, Options, described, existing
from .files import check_split, check_unchanged, files_below, fingerprint

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

NAMES = {"train": ("data_batch_", "train"), "validation": ("test_batch", "test")}  # beginnings of the files' names
RECORD = 1 + 3 * 32 * 32  # a class, then red, green and blue by rows
CLASSES = 10
NETWORKS = {("resnet", "tiny"): "ResNet(blocks=1, width=8)", ("resnet", "gpu"): "ResNet(blocks=9, width=16)",
            ("vgg16", "tiny"): "VGG(narrower=16)", ("vgg16", "gpu"): "VGG()"}
MICRO = {"tiny": 32, "gpu": 64}
FOR = {"tiny": "made small for a CPU", "gpu": "for one GPU"}
MODELS = ("resnet", "vgg16")


class Cifar10:
    """The pictures of a folder: the binary version's data_batch_*.bin and test_batch.bin, or train and test as parquet.

    The test pictures validate. contents: the fingerprint of the folder as the task was made of it; another one is refused.
    """

    def __init__(self, folder: str | Path, contents: str | None = None):
        self.folder, self.contents = existing(str(folder)), contents

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """Split -> its files, by name. Raises FieldError where one has none."""
        everything = files_below(self.folder)
        files = {split: [file for file in everything if file.suffix in (".bin", ".parquet") and file.name.startswith(names)]
                 for split, names in NAMES.items()}
        for split in files:
            if not files[split]:
                other = " (the Python version holds pickles, which may run code)" if any(
                    file.name == "data_batch_1" for file in everything) else ""
                raise FieldError("data", str(self.folder), f"has no file {NAMES[split][0]}*.bin and no {NAMES[split][1]}*.parquet"
                                                           f"{other}: give the folder of CIFAR-10's binary version")
        return files

    @cached_property
    def fingerprint(self) -> str:
        """Of all files: names and sizes."""
        return fingerprint(self.folder, [file for files in self.files.values() for file in files])

    def data(self, split: str) -> tuple[Tensor, Tensor]:
        """Pictures [n, 3, 32, 32] as bytes, and their classes [n]."""
        import numpy as np
        import torch

        check_split(split)
        check_unchanged(self.folder, self.contents, self.fingerprint)
        parts = [_parquet(file) if file.suffix == ".parquet" else _binary(file) for file in self.files[split]]
        pictures, classes = (np.concatenate(values) for values in zip(*parts, strict=True))
        if len(classes) and classes.max() >= CLASSES:
            raise FieldError("data", str(self.folder), f"has a class {classes.max()}: give CIFAR-10, whose classes are 0 to 9")
        return torch.from_numpy(pictures), torch.from_numpy(classes.astype(np.int64))


def _binary(file: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    import numpy as np

    size = file.stat().st_size
    if not size or size % RECORD:
        raise FieldError("data", str(file), f"has {size} bytes, which is no multiple of {RECORD}: take CIFAR-10's binary version")
    records = np.fromfile(file, np.uint8).reshape(-1, RECORD)
    return np.ascontiguousarray(records[:, 1:]).reshape(-1, 3, 32, 32), records[:, 0]


def _parquet(file: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Columns ``img`` or ``image`` (a picture's file, alone or as {"bytes": ...}) and ``label``."""
    import numpy as np
    from PIL import Image

    from .table import read

    frame = read(file)
    name = "img" if "img" in frame.columns else "image"
    if missing := {name, "label"} - set(frame.columns):
        raise FieldError("data", str(file), f"has no column {sorted(missing)[0]}: give CIFAR-10, with img (or image) and label")
    pictures = np.empty((len(frame), 3, 32, 32), np.uint8)
    for place, value in enumerate(frame[name]):
        with Image.open(io.BytesIO(value["bytes"] if isinstance(value, dict) else value)) as picture:
            if picture.size != (32, 32):
                raise FieldError("data", str(file), f"has a picture of {picture.size} pixels: give CIFAR-10, of 32 x 32")
            pictures[place] = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    return pictures, frame["label"].to_numpy()


TEXT = '''
from torch.nn import functional as F

from sqrtscale.tasks.adapters.batch_norm import {network}, moved
from sqrtscale.tasks.adapters.cifar10 import Cifar10

SAMPLE = "image"
MICRO = {micro}  # batch norm takes its statistics over these
HIGHER_IS_BETTER = ["accuracy"]
CIFAR10 = Cifar10({folder!r}, contents={contents!r})


def model():
    return {call}


def data(split):
    return CIFAR10.data(split)


def loss(model, batch):
    images, classes = batch
    return F.cross_entropy(model(moved(images) if model.training else images), classes)


def metrics(model, batch):
    images, classes = batch
    return {{"accuracy": (model(images).argmax(1) == classes).float().mean()}}
'''


def write(place: str, options: Options) -> str:
    """The text of a task of that folder."""
    model = choice("model", options.get("model", MODELS[0]), MODELS)
    size = choice("size", options.get("size", "tiny"), tuple(FOR))
    cifar, call = Cifar10(place), NETWORKS[model, size]
    heading = described(
        f"CIFAR-10, {call.partition('(')[0]}",
        f"The data set and network of the paper's experiments, {FOR[size]}: {call} with batch norm over "
        f"micro-batches of {MICRO[size]}, random crops and mirrored pictures.")
    return heading + TEXT.format(network=call.partition("(")[0], call=call, folder=str(cifar.folder), contents=cifar.fingerprint,
                                 micro=MICRO[size])


ADAPTER = Adapter("cifar10", "FOLDER", "CIFAR-10's binary version or parquet", write, {
    "model": f"{' or '.join(MODELS)} (default: {MODELS[0]})", "size": f"{' or '.join(FOR)} (default: tiny)"})
