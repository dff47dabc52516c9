"""Pictures in folders: ``images:FOLDER`` with a folder for each class, or with those in train/ and validation/."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...rules import FieldError
from ...rules.errors import choice
from .adapter import Adapter, Options, described, existing, whole_option
from .files import check_split, check_unchanged, files_below, fingerprint, name_hash, validating

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
VALIDATION = ("validation", "val", "valid", "test")  # names of a folder of pictures that validate, beside train
PIXELS = 32
LARGEST = 2**31  # bytes of decoded pictures
MODELS = ("transformer", "residual")
FEWEST_PATCHES, MOST_PATCHES = 4, 8  # of a picture, in a row
SHOWN = 5  # names of classes in a description


class Images:
    """The pictures of a folder, decoded once to ``pixels`` x ``pixels`` x 3 bytes: cut to a square from the middle, on white.

    contents: the fingerprint of the folder as the task was made of it; another one is refused.
    """

    def __init__(self, folder: str | Path, pixels: int = PIXELS, contents: str | None = None):
        self.folder, self.pixels = existing(str(folder)), pixels
        self.contents = contents

    @cached_property
    def files(self) -> dict[str, dict[str, list[Path]]]:
        """Split -> class -> its pictures, by name. Raises FieldError for what cannot be learned from."""
        folders = {path.name: path for path in _folders(self.folder)}
        held = next((folders[name] for name in VALIDATION if name in folders), None)
        if "train" in folders and held is not None:
            splits = {"train": _classes(folders["train"]), "validation": _classes(held)}
            if unknown := sorted(set(splits["validation"]) - set(splits["train"])):
                raise FieldError("class", unknown[0], f"has pictures in {held.name} and none in train: add some, or remove it")
        else:
            splits = _split(self.folder)
        if len(splits["train"]) < 2:
            raise FieldError("data", str(self.folder), f"has pictures of {len(splits['train']) or 'no'} class"
                             f"{'' if splits['train'] else 'es'}: give a folder with a folder of pictures for each of two "
                             "classes or more")
        return splits

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of their numbers."""
        return tuple(self.files["train"])

    @cached_property
    def fingerprint(self) -> str:
        """Of all pictures: names and sizes."""
        return fingerprint(self.folder, [file for split in self.files.values() for files in split.values() for file in files])

    def count(self, split: str) -> int:
        """How many pictures a split has."""
        return sum(map(len, self.files[split].values()))

    def check_size(self) -> None:
        """Raises FieldError where the decoded pictures would need too much memory."""
        needed = 3 * self.pixels**2 * (self.count("train") + self.count("validation"))
        if needed > LARGEST:
            raise FieldError("pixels", self.pixels, f"needs {needed / 1e9:.1f} GB for all pictures: give a smaller --pixels, so "
                                                    f"that they fit into {LARGEST / 1e9:.1f} GB, or fewer pictures")

    def data(self, split: str) -> tuple[Tensor, Tensor]:
        """Pictures [n, 3, pixels, pixels] as bytes, and the numbers of their classes [n]."""
        import torch

        check_split(split)
        check_unchanged(self.folder, self.contents, self.fingerprint)
        pictures, numbers = self._decoded[split]
        return torch.from_numpy(pictures), torch.from_numpy(numbers)

    @cached_property
    def _decoded(self) -> dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        import numpy as np

        self.check_size()
        decoded, unreadable = {}, []
        for split, classes in self.files.items():
            pictures = np.empty((self.count(split), 3, self.pixels, self.pixels), np.uint8)
            numbers = np.repeat([self.classes.index(name) for name in classes], [len(files) for files in classes.values()])
            for place, file in enumerate(file for files in classes.values() for file in files):
                try:
                    pictures[place] = _picture(file, self.pixels)
                except (OSError, ValueError, SyntaxError) as error:  # Pillow's, for damaged headers too
                    unreadable.append((file, " ".join(str(error).split())[:120]))
            decoded[split] = pictures, numbers
        if unreadable:
            file, reason = unreadable[0]
            more = f", and {len(unreadable) - 1} more cannot" if len(unreadable) > 1 else ""
            raise FieldError("picture", str(file.relative_to(self.folder)),
                             f"cannot be read ({reason}){more}: remove what is no picture")
        return decoded


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FieldError("data", str(folder), "is no folder: give one with a folder of pictures for each class")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Class -> its pictures; folders without any are no classes."""
    classes = {path.name: files_below(path, SUFFIXES) for path in _folders(folder)}
    return {name: files for name, files in classes.items() if files}


def _split(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """A tenth of each class validates, by the hashes of the files' names."""
    splits: dict[str, dict[str, list[Path]]] = {"train": {}, "validation": {}}
    for name, files in _classes(folder).items():
        if len(files) < 2:
            raise FieldError("class", name, "has one picture, and needs one to train and one to validate: add pictures, or "
                                            "remove its folder")
        mask = validating([name_hash(str(file.relative_to(folder / name))) for file in files])
        for split, wanted in (("train", False), ("validation", True)):
            splits[split][name] = [file for file, validates in zip(files, mask, strict=True) if validates == wanted]
    return splits


def _picture(file: Path, pixels: int) -> np.ndarray[Any, Any]:
    """[3, pixels, pixels]"""
    import numpy as np
    from PIL import Image, ImageOps

    with Image.open(file) as opened:
        picture = opened.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return np.asarray(ImageOps.fit(white.convert("RGB"), (pixels, pixels), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


TEXT = '''
from torch.nn import functional as F

from sqrtscale.tasks.adapters.images import Images
{imports}

SAMPLE = "image"
HIGHER_IS_BETTER = ["accuracy"]
IMAGES = Images({folder!r}, pixels={pixels}, contents={contents!r})
{model}

def data(split):
    return IMAGES.data(split)


def loss(model, batch):
    images, classes = batch
    return F.cross_entropy(model({inputs}), classes)


def metrics(model, batch):
    images, classes = batch
    return {{"accuracy": (model({inputs}).argmax(1) == classes).float().mean()}}
'''
IMPORTS = """from sqrtscale.tasks.adapters.models import in_patches
from sqrtscale.tasks.module import as_module
from sqrtscale.tasks.transformer import Transformer"""
TRANSFORMER = """PATCH = {patch}  # pixels


def stacked():
    return Transformer(width=64, layers=2, heads=2, length=({pixels} // PATCH) ** 2, patch=3 * PATCH**2,
                       classes=len(IMAGES.classes))


def pairs(batch):
    images, classes = batch
    return in_patches(images, PATCH), classes


def model():
    return as_module(stacked())
"""
RESIDUAL = """

def model():
    return Residual(len(IMAGES.classes), width=16)
"""


def write(place: str, options: Options) -> str:
    """The text of a task of that folder."""
    images = Images(place, whole_option(options, "pixels", 8, PIXELS, 1024))
    names, pixels = images.classes, images.pixels
    if choice("model", options.get("model", MODELS[0]), MODELS) == "transformer":
        patch = _patch(pixels)
        network, parts = f"a transformer on patches of {patch} x {patch}", {
            "imports": IMPORTS, "model": TRANSFORMER.format(patch=patch, pixels=pixels), "inputs": "in_patches(images, PATCH)"}
    else:
        network, parts = "a residual network with group norm", {
            "imports": "from sqrtscale.tasks.adapters.models import Residual", "model": RESIDUAL, "inputs": "images"}
    images.check_size()
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    heading = described(
        f"Images of {images.folder.name}",
        f"{images.count('train'):,} training and {images.count('validation'):,} validation pictures in {len(names)} classes "
        f"({', '.join(names[:SHOWN])}{more}), {pixels} x {pixels} pixels; {network}.")
    return heading + TEXT.format(folder=str(images.folder), pixels=pixels, contents=images.fingerprint, **parts)


def _patch(pixels: int) -> int:
    """The side of a patch, of which there are at most MOST_PATCHES in a row. Raises FieldError."""
    row = max(count for count in range(1, MOST_PATCHES + 1) if pixels % count == 0)
    if row < FEWEST_PATCHES:
        raise FieldError("pixels", pixels, f"cannot be cut into {FEWEST_PATCHES} to {MOST_PATCHES} patches in a row: give a "
                                           f"multiple of {MOST_PATCHES}, or --model residual")
    return pixels // row


ADAPTER = Adapter("images", "FOLDER", "pictures, a folder for each class", write, {
    "pixels": f"side of the square to which pictures are decoded (default: {PIXELS})",
    "model": f"{' or '.join(MODELS)} (default: {MODELS[0]})"})
