"""The paper's data sets: files of the published forms made here, networks of the published sizes, archives from a server here."""

import hashlib
import io
import tarfile
import threading
import zipfile
from collections import Counter
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sqrtscale.rules import FieldError
from sqrtscale.tasks.adapters import ADAPTERS
from sqrtscale.tasks.adapters.batch_norm import VGG, ResNet, moved, standardised
from sqrtscale.tasks.adapters.cifar10 import Cifar10
from sqrtscale.tasks.adapters.published import CIFAR10, WIKITEXT2, fetch
from sqrtscale.tasks.adapters.wikitext import WikiText
from sqrtscale.tasks.own import read_text

random = np.random.default_rng(0)
PICTURES, CLASSES = random.integers(0, 256, (60, 3, 32, 32), np.uint8), random.integers(0, 10, 60).astype(np.uint8)


def as_binary(folder, splits=(("data_batch_1", 0, 20), ("data_batch_2", 20, 40), ("test_batch", 40, 60))):
    folder.mkdir(parents=True, exist_ok=True)
    for name, first, last in splits:
        records = np.concatenate([CLASSES[first:last, None], PICTURES[first:last].reshape(-1, 3072)], 1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture.transpose(1, 2, 0)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def as_parquet(folder):
    for name, part in (("train-00000-of-00001", slice(40)), ("test-00000-of-00001", slice(40, 60))):
        pd.DataFrame({"img": [png(picture) for picture in PICTURES[part]], "label": CLASSES[part].astype(int)}
                     ).to_parquet(folder / f"{name}.parquet")
    return folder


@pytest.mark.parametrize("make", [as_binary, as_parquet])
def test_cifar10_is_read_byte_by_byte_from_both_its_forms(tmp_path, make):
    cifar = Cifar10(make(tmp_path))
    for split, part in (("train", slice(40)), ("validation", slice(40, 60))):
        pictures, classes = cifar.data(split)
        assert np.array_equal(pictures, PICTURES[part]) and classes.tolist() == CLASSES[part].tolist()


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda folder: None, "has no file data_batch_*.bin and no train*.parquet: give the folder of CIFAR-10's binary version"),
    (lambda folder: (folder / "data_batch_1").write_bytes(b"pickle"), "(the Python version holds pickles, which may run code)"),
    (lambda folder: (as_binary(folder) / "test_batch.bin").write_bytes(b"1234"), "has 4 bytes, which is no multiple of 3073"),
    (lambda folder: (as_binary(folder) / "test_batch.bin").write_bytes(b"\x0b" * 3073), "has a class 11: give CIFAR-10, whose"),
])
def test_what_is_not_cifar10_is_refused_with_a_sentence(tmp_path, make, sentence):
    make(tmp_path)
    with pytest.raises(FieldError) as error:
        [Cifar10(tmp_path).data(split) for split in ("train", "validation")]
    assert sentence in str(error.value)


@pytest.mark.parametrize(("model", "size"), [("resnet", "tiny"), ("resnet", "gpu"), ("vgg16", "tiny"), ("vgg16", "gpu")])
def test_each_network_and_size_is_a_task_over_micro_batches(tmp_path, model, size):
    text = ADAPTERS["cifar10"].text(str(as_binary(tmp_path)), {"model": model, "size": size})
    source = read_text(text, "task")
    assert source.micro == (32 if size == "tiny" else 64) and ("for a CPU" in source.description) == (size == "tiny")
    names = {}
    exec(compile(text, "task", "exec"), names)
    assert (next(names["model"]().parameters()).device.type, names["data"]("train")[0].dtype) == ("cpu", torch.uint8)


@pytest.mark.parametrize(("network", "parameters"), [
    (lambda: ResNet(blocks=9), 855_770), (lambda: ResNet(blocks=3), 272_474), (VGG, 14_728_266 - 4_224)])
def test_networks_have_their_published_sizes(network, parameters):
    """He et al. 2016, table 6: 0.85 M and 0.27 M for depths 56 and 20, whose shortcuts have no weights, and ours 2,752.

    VGG16 with batch norm and one linear layer has 14.7 M, with biases before batch norm, one for each of 4,224 channels.
    """
    assert sum(p.numel() for p in network().parameters()) == parameters


def test_a_crop_is_a_window_of_the_padded_picture_or_its_mirror_image_each_as_likely_as_the_others():
    torch.manual_seed(0)
    picture = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    padded = torch.zeros(3, 40, 40, dtype=torch.uint8)
    padded[:, 4:36, 4:36] = picture
    windows = {}
    for down in range(9):
        for right in range(9):
            window = padded[:, down : down + 32, right : right + 32]
            windows[window.numpy().tobytes()] = (down, right, False)
            windows[window.flip(2).contiguous().numpy().tobytes()] = (down, right, True)
    count = 162 * 100
    seen = Counter(windows[crop.contiguous().numpy().tobytes()] for crop in moved(picture.expand(count, 3, 32, 32)))
    assert len(seen) == 162
    spread = sum((value - 100) ** 2 / 100 for value in seen.values())  # chi-squared with 161 degrees of freedom
    assert spread < 161 + 4 * (2 * 161) ** 0.5


def test_bytes_are_standardised_by_colour():
    picture = torch.tensor([125.3 + 63.0, 123.0, 113.9 - 66.7]).view(1, 3, 1, 1)
    assert torch.allclose(standardised(picture).flatten(), torch.tensor([1.0, 0.0, -1.0]))


@pytest.mark.parametrize("form", ["raw", "parquet"])
def test_wikitext_is_read_from_both_its_forms(tmp_path, form):
    lines = {split: [f" = {split} {i} = \n" for i in range(200)] for split in ("train", "valid")}
    for split, texts in lines.items():
        if form == "raw":
            (tmp_path / f"wiki.{split}.raw").write_text("".join(texts))
        else:
            name = f"{'validation' if split == 'valid' else split}-00000-of-00001.parquet"
            pd.DataFrame({"text": texts}).to_parquet(tmp_path / name)
    text = WikiText(tmp_path, context=8)
    (windows,) = text.data("validation")
    assert bytes(windows[3].tolist()) == "".join(lines["valid"]).encode()[3:12]
    assert text.splits["train"] == "".join(lines["train"]).encode()
    source = read_text(ADAPTERS["wikitext"].text(str(tmp_path), {"size": "gpu", "context": "16"}), "task")
    assert source.sample == "window of 16 bytes" and "for one GPU" in source.description
    next(tmp_path.glob("*valid*")).unlink()
    with pytest.raises(FieldError, match=r"has no wiki\.valid\.raw and no validation\*\.parquet: give the folder of WikiText"):
        _ = WikiText(tmp_path).files


def test_wikitext_with_a_row_without_text_is_refused(tmp_path):
    for split in ("train", "validation"):
        pd.DataFrame({"text": [*["a" * 99] * 30, None]}).to_parquet(tmp_path / f"{split}.parquet")
    with pytest.raises(FieldError, match=r"train\.parquet' has rows of the column text that hold none: leave them out"):
        _ = WikiText(tmp_path).splits


@pytest.fixture
def server(tmp_path):
    """The address of a server of files, and its folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}", folder
    serving.shutdown()
    thread.join()
    serving.server_close()


def packed(archive, folder):
    """An archive of that form with made-up files, and what describes it."""
    path = folder / archive.name
    contents = {f"inner/folder/{name}": name.encode() * 10 for name in (*archive.members, "readme.html")}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, content in contents.items():
                file.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as file:
            for name, content in contents.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                file.addfile(entry, io.BytesIO(content))
    return replace(archive, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size=path.stat().st_size)


@pytest.mark.parametrize("published", [CIFAR10, WIKITEXT2], ids=["tar", "zip"])
def test_an_archive_is_downloaded_held_to_its_hash_and_unpacked_once(home, server, published):
    address, folder = server
    archive = replace(packed(published, folder), url=f"{address}/{published.name}")
    shares = []
    place = fetch(archive, shares.append)
    assert place.is_relative_to(home) and shares[-1] == 1
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.name != archive.name} == {
        name: name.encode() * 10 for name in archive.members}
    (folder / archive.name).unlink()
    assert fetch(archive) == place  # nothing is asked of the server again


def test_what_was_put_there_by_hand_is_taken_without_a_network(home, tmp_path):
    archive = replace(CIFAR10, url="http://127.0.0.1:9/none")
    archive.folder.mkdir(parents=True)
    archive = packed(archive, archive.folder)
    assert (fetch(archive) / "test_batch.bin").is_file()


def test_no_network_and_another_hash_are_said_with_what_to_do(home, server):
    address, folder = server
    by_hand = r"download cifar-10-binary\.tar\.gz \(170 MB\) where there is a network, put it into .* and repeat the command, "
    with pytest.raises(FieldError, match=rf"failed \(.*refused\): {by_hand}or name a folder of the unpacked files with --from"):
        fetch(replace(CIFAR10, url="http://127.0.0.1:9/none"))
    archive = replace(packed(CIFAR10, folder), url=f"{address}/{CIFAR10.name}", sha256="0" * 64)
    with pytest.raises(FieldError, match=r"has the SHA-256 \w{64} and not 0{64}: download"):
        fetch(archive)
    assert list(archive.folder.iterdir()) == []
    (archive.folder / archive.name).write_bytes(b"something else")
    with pytest.raises(FieldError, match=r"and not 0{64}: remove it and try again, or put the published one in its place"):
        fetch(archive)
