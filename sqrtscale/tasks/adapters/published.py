"""Published data sets: fetched where there is a network, held to their hash, unpacked in the home.

Nothing here runs at import or in the app: ``sqrtscale tasks get`` alone fetches.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.request import urlopen

from ...home import home, owner_only, private_folder
from ...rules import FieldError

PIECE = 2**20  # bytes
PATIENCE = 30  # seconds without an answer
Progress = Callable[[float], None]  # what is told of a download: the share that has come


@dataclass(frozen=True)
class Archive:
    """A file that its publishers offer: where, its SHA-256 and size in bytes, and the names of the wanted files in it."""

    name: str
    url: str
    sha256: str
    size: int
    members: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where it is kept and unpacked."""
        return home() / "downloads" / self.name.partition(".")[0]

    @property
    def unpacked(self) -> bool:
        """Whether all that is wanted of it is there."""
        return all((self.folder / member).is_file() for member in self.members)


@dataclass(frozen=True)
class DataSet:
    """What the paper trained on. archives, settings: of each size, what to fetch, and the options of a calibration.

    settings: for CIFAR-10 the authors' optimizer; targets, numbers of samples and the rest suit the size. says: what they are.
    """

    archives: Mapping[str, Archive]
    settings: Mapping[str, tuple[str, ...]]
    says: str = "the experiments of the paper, as far as this size allows"


def fetch(archive: Archive, progress: Progress = lambda share: None) -> Path:
    """The folder with the archive's files: as they are there, from the archive where somebody has put it, or downloaded.

    Raises FieldError where it cannot be had, with what to do by hand, and for one of another hash, which is never unpacked.
    """
    folder = private_folder(archive.folder)
    if archive.unpacked:
        return folder
    file = folder / archive.name
    if not file.is_file():
        _download(archive, file, progress)
    _check(archive, file, f"remove it and try again, or put the published one in its place, as {file}")
    _unpack(archive, file)
    return folder


def _check(archive: Archive, file: Path, remedy: str) -> None:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest != archive.sha256:
        raise FieldError("archive", archive.name, f"has the SHA-256 {digest} and not {archive.sha256}: {remedy}")


def _download(archive: Archive, file: Path, progress: Progress) -> None:
    """The archive at ``file``, if what came is what was published."""
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    by_hand = (f"download {archive.name} ({archive.size / 1e6:.0f} MB) where there is a network, put it into {file.parent} and "
               "repeat the command, or name a folder of the unpacked files with --from")
    try:
        with urlopen(archive.url, timeout=PATIENCE) as answer, open(partial, "wb", opener=owner_only) as opened:
            while opened.tell() <= archive.size and (piece := answer.read(PIECE)):
                opened.write(piece)
                progress(opened.tell() / archive.size)
        _check(archive, partial, by_hand)
        partial.replace(file)
    except (HTTPException, OSError) as error:  # URLError among the latter
        reason = " ".join(str(getattr(error, "reason", error)).split())[:120]
        raise FieldError("download", archive.url, f"failed ({reason}): {by_hand}") from error
    finally:
        partial.unlink(missing_ok=True)


def _unpack(archive: Archive, file: Path) -> None:
    """The wanted files, by their names alone, wherever in the archive they lie."""
    for name, opened in _members(file):
        if name in archive.members:
            partial = file.parent / f".{name}.{os.getpid()}"
            with open(partial, "wb", opener=owner_only) as target:
                while piece := opened.read(PIECE):
                    target.write(piece)
            partial.replace(file.parent / name)
    if not archive.unpacked:
        raise FieldError("archive", str(file), f"lacks one of {', '.join(archive.members)}: take the published one")


def _members(file: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as opened:
            for name in opened.namelist():
                with opened.open(name) as member:
                    yield Path(name).name, member
        return
    with tarfile.open(file) as packed:
        for entry in packed:
            content = packed.extractfile(entry)
            if content is not None:
                yield Path(entry.name).name, content


CIFAR10 = Archive("cifar-10-binary.tar.gz", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                  "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171,
                  (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"))
WIKI = ("wiki.train.raw", "wiki.valid.raw")
WIKITEXT2 = Archive("wikitext-2-raw-v1.zip", "https://wikitext.smerity.com/wikitext-2-raw-v1.zip",
                    "ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11", 4_721_645, WIKI)
WIKITEXT103 = Archive("wikitext-103-raw-v1.zip", "https://wikitext.smerity.com/wikitext-103-raw-v1.zip",
                      "91c00ae287f0d699e18605c84afc9e45c192bc6b7797ff8837e5474655a33794", 191_984_949, WIKI)
SST2 = Archive("SST-2.zip", "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip",
               "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa", 7_439_277, ("train.tsv", "dev.tsv"))
ON_A_GPU = "--lr 1e-3 --eps 1e-8 --weight-decay 1e-4 --batch 256 --target 1024 --samples 512000 --warm-samples 1536000 --seeds 3"
ON_A_CPU = "--lr 5e-4 --eps 2e-8 --weight-decay 1e-4 --batch 64 --target 256 --samples 32000 --warm-samples 64000 --seeds 3"
EXAMPLE = "an example of a calibration, with settings that were not tried at this size"
DATA_SETS = {
    "cifar10": DataSet({"tiny": CIFAR10, "gpu": CIFAR10}, {
        "tiny": (f"--optimizer rmsprop --alpha 0.99975 {ON_A_CPU}", f"--optimizer adam --betas 0.975 0.99975 {ON_A_CPU}"),
        "gpu": (f"--optimizer rmsprop --alpha 0.999 {ON_A_GPU}", f"--optimizer adam --betas 0.9 0.999 {ON_A_GPU}")}),
    "wikitext": DataSet({"tiny": WIKITEXT2, "gpu": WIKITEXT103}, {
        "tiny": ("--optimizer adam --lr 1e-3 --betas 0.95 0.99 --batch 16 --target 64 --samples 32000 --warm-samples 64000 "
                 "--seeds 3",),
        "gpu": ("--optimizer adam --lr 5e-4 --betas 0.9 0.999 --batch 128 --target 512 --samples 256000 --warm-samples 1024000 "
                "--seeds 3",)}),
    "sst2": DataSet({"tiny": SST2, "gpu": SST2}, {
        "tiny": ("--optimizer adamw --lr 5e-5 --batch 8 --target 32 --samples 4000 --start scratch --seeds 3",),
        "gpu": ("--optimizer adamw --lr 2e-5 --batch 32 --target 128 --samples 40000 --start scratch --seeds 3",)}, EXAMPLE),
    "mlm": DataSet({"tiny": WIKITEXT2, "gpu": WIKITEXT103}, {
        "tiny": ("--optimizer adamw --lr 1e-4 --batch 8 --target 32 --samples 4000 --warm-samples 4000 --seeds 3",),
        "gpu": ("--optimizer adamw --lr 1e-4 --batch 32 --target 256 --samples 40000 --warm-samples 20000 --seeds 3",)}, EXAMPLE),
}
