"""Tasks made of data: what an adapter writes, what it reads, and the sentence for what cannot be learned from."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sqrtscale.rules import FieldError
from sqrtscale.tasks import Batch
from sqrtscale.tasks.adapters import ADAPTERS, models
from sqrtscale.tasks.adapters.images import Images
from sqrtscale.tasks.adapters.table import Rows
from sqrtscale.tasks.adapters.text import Text
from sqrtscale.tasks.module import as_module
from sqrtscale.tasks.own import read_text


def written(kind, place, **options):
    """The names of the file that an adapter writes, run by hand."""
    text = ADAPTERS[kind].text(str(place), options)
    read_text(text, "task")
    names = {"__name__": "task"}
    exec(compile(text, "task", "exec"), names)
    return names


def pictures(folder, count=20, classes=("dark", "light")):
    """Even pictures of 12 x 10 pixels: class k of K has the grey 255 k / (K - 1)."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        grey = 255 * number // max(1, len(classes) - 1)
        for i in range(count):
            Image.new("RGB", (12, 10), (grey,) * 3).save(folder / name / f"{i}.png")
    return folder


def test_pictures_become_bytes_with_the_number_of_their_folder(tmp_path):
    images = Images(pictures(tmp_path), pixels=8)
    assert images.classes == ("dark", "light")
    for split, each in (("train", 18), ("validation", 2)):
        x, y = images.data(split)
        assert (x.shape, x.dtype, y.tolist()) == ((2 * each, 3, 8, 8), torch.uint8, [0] * each + [1] * each)
        assert torch.equal(x, (255 * y).to(torch.uint8).view(-1, 1, 1, 1).expand_as(x))


def test_which_pictures_validate_hangs_on_their_names_alone(tmp_path):
    first, second = pictures(tmp_path / "a"), tmp_path / "elsewhere" / "b"
    second.parent.mkdir()
    pictures(second, classes=("light", "dark"))
    (second / "dark" / "notes.txt").write_text("no picture")
    names = [{split: {name: [file.name for file in files] for name, files in classes.items()}
              for split, classes in Images(folder).files.items()} for folder in (first, second)]
    assert names[0] == names[1]


def test_what_an_adapter_writes_is_a_task_that_says_what_it_is_made_of(tmp_path):
    folder = pictures(tmp_path / 'my "best" \\scans')
    source = read_text(ADAPTERS["images"].text(str(folder), {"pixels": "8"}), "task")
    assert source.title == "Images of my 'best' \\scans" and source.sample == "image"
    assert "36 training and 4 validation pictures in 2 classes (dark, light), 8 x 8 pixels" in source.description


def test_the_pages_name_every_adapter_and_its_options():
    pages = [path.read_text() for path in (Path(__file__).parents[2] / "docs").glob("adapters*.md")]
    for adapter in ADAPTERS.values():
        about = [page for page in pages if f"{adapter.kind}:" in page]
        assert any(all(f"--{option}" in page for option in adapter.options) for page in about), adapter.kind


def test_a_folder_that_has_changed_is_refused(tmp_path):
    folder = pictures(tmp_path)
    before = Images(folder).fingerprint
    Images(folder, contents=before).data("train")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "dark" / "new.png")
    with pytest.raises(FieldError, match=r"has changed since the task was made of it: add it again"):
        Images(folder, contents=before).data("train")


def test_text_becomes_every_window_of_its_pieces(tmp_path):
    """Each piece of 64 x 8 bytes says its number, so that a window says where it is from."""
    path = tmp_path / "numbers.txt"
    path.write_bytes(b"".join(f"{piece:04}".encode() * 128 for piece in range(40)))
    text = Text(path, context=8)
    pieces = {split: {int(text.splits[split][first : first + 4]) for first in range(0, len(text.splits[split]), 512)}
              for split in ("train", "validation")}
    assert (len(pieces["train"]), len(pieces["validation"])) == (36, 4)
    assert pieces["train"] | pieces["validation"] == set(range(40)) and max(pieces["validation"]) - min(pieces["validation"]) > 4
    (windows,) = text.data("validation")
    assert windows.shape == (4 * 512 - 8, 9) and windows.dtype == torch.uint8
    assert bytes(windows[100].tolist()) == text.splits["validation"][100:109]


def test_of_many_files_whole_ones_validate_by_name_and_what_is_no_text_is_left_out(tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text(chr(65 + number) * 200)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0" * 100)
    splits = Text(tmp_path, context=8).splits
    assert {split: len(text) for split, text in splits.items()} == {"train": 27 * 200, "validation": 3 * 200}
    assert not set(splits["train"]) & set(splits["validation"])


def people(path, rows=40, target="tall"):
    """height = 2 * weight + 10 in three towns, an identifier, a constant; tall is a boolean."""
    weight = np.arange(rows) * 1.5
    frame = pd.DataFrame({"weight": weight, "town": np.array(["Ulm", "Köln", "Bonn"])[np.arange(rows) % 3],
                          "height": 2 * weight + 10, "tall": weight > 20, "id": [f"person {i}" for i in range(rows)], "one": 1})
    frame = frame.drop(columns="height" if target == "tall" else "tall")
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False, sep=";")
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_is_read_by_what_its_columns_hold(tmp_path, ending):
    path = people(tmp_path / f"people.{ending}", target="height")
    names = written("table", path, **{"target-column": "height"})
    rows = names["ROWS"]
    assert (rows.numbers, rows.categories, rows.is_class, rows.outputs, rows.codes) == (["weight"], ["town"], False, 1, [4])
    said = names["__doc__"]
    assert "is predicted, a number" in said and "Left out, because they tell nothing of other rows: id, one." in said
    train, validation = (names["data"](split) for split in ("train", "validation"))
    assert (len(train["target"]), len(validation["target"])) == (36, 4)
    for values in (train["numbers"][:, 0].double(), train["target"].double()):  # both are linear in the weight
        assert values.mean() == pytest.approx(0, abs=1e-6) and values.std(correction=0) == pytest.approx(1, rel=1e-6)
    assert torch.allclose(validation["numbers"][:, 0], validation["target"], atol=1e-5)
    weights = {round(1.5 * i, 1) for i in range(40)}
    weight = pd.read_csv(path, sep=";")["weight"] if ending == "csv" else pd.read_parquet(path)["weight"]
    assert set(weight) == weights and rows.scale == pytest.approx(2 * weight[~rows.validates].std(ddof=0))


def test_the_rows_that_validate_hang_on_what_they_hold_not_on_their_order(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    people(first)
    pd.read_csv(first, sep=";").sample(frac=1, random_state=1).to_csv(second, index=False)
    held = []
    for path in (first, second):
        rows = Rows(path, "tall", ["weight"], ["town"], classes=True)
        held.append(set(rows.frame["weight"][rows.validates]))
    assert held[0] == held[1] and len(held[0]) == 4


@pytest.mark.parametrize(("values", "asked", "classes"), [
    ([True, False], None, True), (["a", "b"], None, True), ([3, 4], None, True), ([3.0, 4.5], None, False),
    ([3, 4], "number", False), ([3.0, 4.5], "class", True),
])
def test_a_target_is_a_class_or_a_number_by_its_values_unless_it_is_said(tmp_path, values, asked, classes):
    path = tmp_path / "rows.csv"
    pd.DataFrame({"x": range(40), "y": values * 20}).to_csv(path, index=False)
    names = written("table", path, **{"target-column": "y"} | ({"predict": asked} if asked else {}))
    assert names["ROWS"].is_class == classes and ("accuracy" in str(names["metrics"].__code__.co_consts)) == classes
    model, batch = names["model"](), names["data"]("train")
    assert names["loss"](model, batch).shape == () and set(names["metrics"](model, batch)) == {
        "accuracy" if classes else "absolute_error"}


def changed(frame, column, row, value):
    frame = frame.astype({column: object}) if isinstance(value, str) else frame
    frame.loc[row, column] = value
    return frame


BAD_TABLES = {
    "missing": (lambda frame: frame, {}, "--target-column = '' is missing: name the column to predict, one of x, y"),
    "unknown": (lambda frame: frame, {"target-column": "z"}, "column = 'z' is not in the table: it has x, y"),
    "no number": (lambda frame: changed(frame, "x", 3, np.nan), {"target-column": "y"},
                  "column = 'x' is empty, NaN or infinite in 1 of 40 rows: fill them, or remove"),
    "infinite": (lambda frame: changed(frame, "x", 3, np.inf), {"target-column": "y"}, "infinite in 1 of 40 rows"),
    "no target": (lambda frame: changed(frame.astype({"y": float}), "y", 3, np.nan), {"target-column": "y", "predict": "class"},
                  "target column = 'y' is empty in 1 of 40 rows: fill it"),
    "once": (lambda frame: changed(frame, "y", 3, 7), {"target-column": "y"},
             "target column = 'y' has the class '7' in one row only: remove the row, join classes, or predict a number with"),
    "one class": (lambda frame: frame.assign(y=1), {"target-column": "y"}, "target column = 'y' has one value only"),
    "few": (lambda frame: frame[:5], {"target-column": "y"}, "has 5 rows: give 20 or more"),
    "text": (lambda frame: frame.assign(y="a"), {"target-column": "y", "predict": "number"},
             "column = 'y' holds no numbers, but 'a'"),
    "same": (lambda frame: frame[["y"]], {"target-column": "y"}, "has no column to predict from"),
    "predict": (lambda frame: frame, {"target-column": "y", "predict": "all"},
                "predict = 'all' is not known: give one of class, number"),
    "other option": (lambda frame: frame, {"pixels": "8"},
                     "--pixels = '8' is not read for table: its options are --target-column, "),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_cannot_be_learned_from_is_refused_with_a_sentence(tmp_path, case):
    change, options, sentence = BAD_TABLES[case]
    path = tmp_path / "rows.csv"
    change(pd.DataFrame({"x": np.arange(40.0), "y": [0, 1] * 20})).to_csv(path, index=False)
    with pytest.raises(FieldError) as error:
        ADAPTERS["table"].text(str(path), options)
    assert sentence in str(error.value)


def test_files_that_are_no_table_are_refused(tmp_path, monkeypatch):
    for name, content, sentence in (("a.parquet", b"PAR0", "cannot be read ("), ("a.csv", b"", "cannot be read (No columns")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FieldError, match=re.escape(sentence)):
            ADAPTERS["table"].text(str(tmp_path / name), {"target-column": "y"})
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where it is not installed
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    with pytest.raises(FieldError, match=r"needs pyarrow to be read: pip install pyarrow, or give the table as CSV"):
        ADAPTERS["table"].text(str(people(tmp_path / "b.csv").rename(tmp_path / "b.parquet")), {"target-column": "y"})


def one_class(folder):
    pictures(folder, classes=("dark",))


def no_class(folder):
    (folder / "dark").mkdir(parents=True)


def single(folder):
    pictures(folder)
    pictures(folder, 1, classes=("rare",))


def unseen(folder):
    pictures(folder / "train"), pictures(folder / "val", 2, classes=("dark", "grey"))


@pytest.mark.parametrize(("make", "options", "sentence"), [
    (one_class, {}, "has pictures of 1 class: give a folder with a folder of pictures for each of two classes or more"),
    (no_class, {}, "has pictures of no classes: give a folder"),
    (single, {}, "class = 'rare' has one picture, and needs one to train and one to validate: add pictures, "
                 "or remove its folder"),
    (unseen, {}, "class = 'grey' has pictures in val and none in train: add some, or remove it"),
    (pictures, {"pixels": "4"}, "pixels = 4 is not allowed: give a whole number from 8 to 1024"),
    (pictures, {"pixels": "many"}, "pixels = 'many' is not allowed"),
    (pictures, {"pixels": "11"}, "pixels = 11 cannot be cut into 4 to 8 patches in a row: give a multiple of 8, or --model"),
    (pictures, {"model": "vit"}, "model = 'vit' is not known: give one of transformer, residual"),
    (lambda folder: None, {}, "is not there: give the path of a file or folder"),
])
def test_pictures_that_cannot_be_learned_from_are_refused_with_a_sentence(tmp_path, make, options, sentence):
    make(tmp_path / "data")
    with pytest.raises(FieldError) as error:
        ADAPTERS["images"].text(str(tmp_path / "data"), options)
    assert sentence in str(error.value)


def test_unreadable_pictures_and_too_many_are_refused(tmp_path, monkeypatch):
    folder = pictures(tmp_path)
    for name in ("7.png", "8.png"):
        (folder / "light" / name).write_bytes(b"no picture")
    with pytest.raises(FieldError, match=r"picture = 'light/[78]\.png' cannot be read \(cannot identify .*\), and 1 more cannot"):
        Images(folder).data("train")
    monkeypatch.setattr("sqrtscale.tasks.adapters.images.LARGEST", 10**5)
    with pytest.raises(FieldError, match=r"pixels = 32 needs 0.0 GB for all pictures: give a smaller --pixels"):
        ADAPTERS["images"].text(str(folder), {})


def test_folders_of_training_and_validation_are_taken_as_they_are(tmp_path):
    pictures(tmp_path / "train", 5), pictures(tmp_path / "val", 3)
    images = Images(tmp_path)
    assert (images.count("train"), images.count("validation"), images.classes) == (10, 6, ("dark", "light"))


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "has too little text: give at least 13,000 bytes, or a smaller --context"),
    (b"\0" * 20_000, "has too little text (files with a byte 0 are no text): give"),
    (b"short", "has too little text: give"),
])
def test_text_of_which_there_is_too_little_is_refused(tmp_path, content, sentence):
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(FieldError) as error:
        ADAPTERS["text"].text(str(tmp_path / "text.txt"), {})
    assert sentence in str(error.value)


@pytest.mark.parametrize("name", ["Residual", "Perceptron"])
def test_no_model_lets_a_sample_depend_on_another(name):
    """The output of a sample is the same in whichever batch, and no part is without a gradient."""
    torch.manual_seed(0)
    model, inputs = {
        "Residual": lambda: (models.Residual(3, width=8), (torch.randint(256, (6, 3, 16, 16)),)),
        "Perceptron": lambda: (as_module(models.Perceptron(2, (3, 4), 2)), (torch.randn(6, 2), torch.randint(3, (6, 2)))),
    }[name]()
    inputs = Batch(inputs if len(inputs) > 1 else inputs[0], ())
    whole = model(inputs.inputs)
    assert torch.allclose(whole[4:], model(inputs.cut(slice(4, None)).inputs), atol=1e-5)
    whole.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_perceptron_is_what_modules_of_torch_compute():
    """Embeddings, two hidden layers with GELU and a head, of two models that differ."""
    torch.manual_seed(0)
    network, codes, numbers = models.Perceptron(2, (3, 40), 5, width=8), torch.randint(3, (2, 6, 2)), torch.randn(2, 6, 2)
    p = {name: torch.randn(2, *parameter.shape) for name, parameter in network.parameters().items()}
    predictions, targets = network(p, (numbers, codes), {}, True), torch.randint(5, (2, 6))
    for i in range(2):
        x = torch.cat([numbers[i], p["embedding0"][i][codes[i, :, 0]], p["embedding1"][i][codes[i, :, 1]]], 1)
        for name in ("first", "second", "head"):
            x = x @ p[f"{name}.weight"][i] + p[f"{name}.bias"][i]
            x = x if name == "head" else torch.nn.functional.gelu(x)
        assert torch.allclose(predictions[i], x, atol=1e-5)
        wanted = torch.nn.CrossEntropyLoss(reduction="none")(x, targets[i])
        assert torch.allclose(network.losses(predictions, targets)[i], wanted, atol=1e-5)


def test_pictures_are_cut_into_patches_row_by_row():
    """A picture whose pixels have the number of their patch."""
    numbers = torch.arange(6).view(1, 1, 2, 3).repeat_interleave(4, 2).repeat_interleave(4, 3).expand(2, 3, 8, 12)
    patches = models.in_patches(numbers.to(torch.uint8), 4)
    assert patches.shape == (2, 6, 48)
    assert torch.allclose(patches, ((torch.arange(6.0) - 127.5) / 64).view(1, 6, 1).expand(2, 6, 48))


@pytest.mark.parametrize(("pixels", "patch"), [(32, 4), (12, 2), (28, 4), (30, 5), (8, 1)])
def test_a_picture_has_four_to_eight_patches_in_a_row(tmp_path, pixels, patch):
    names = written("images", pictures(tmp_path), pixels=str(pixels))
    assert names["PATCH"] == patch and names["stacked"]().length == (pixels // patch) ** 2
    inputs = names["pairs"](names["data"]("train"))[0]
    assert inputs.shape == (36, (pixels // patch) ** 2, 3 * patch**2) and names["model"]()(inputs).shape == (36, 2)


def test_a_residual_network_takes_pictures_of_any_side(tmp_path):
    names = written("images", pictures(tmp_path), pixels="11", model="residual")
    assert "stacked" not in names and names["loss"](names["model"](), names["data"]("train")).isfinite()
