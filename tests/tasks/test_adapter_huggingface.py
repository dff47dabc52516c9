"""Model folders as tasks: their windows, masks and classes, held to what the tokenizer and transformers say by themselves."""

import json
import shutil
import socket

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_folders import LENGTH, bert_folder, gpt2_folder, json_lines, labelled_folder, sentences, text_folder
from torch.utils.data import default_collate
from transformers import AutoTokenizer, BertForMaskedLM, GPT2ForSequenceClassification

from sqrtscale.rules import FieldError
from sqrtscale.tasks.adapters.huggingface import ADAPTER, HuggingFace
from sqrtscale.tasks.adapters.windows import Frame, Masked, cut_windows
from sqrtscale.tasks.own import read_text


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name -> folder; no test writes to them."""
    root = tmp_path_factory.mktemp("folders")
    return {"gpt2": gpt2_folder(root / "gpt2"), "bert": bert_folder(root / "bert"), "text": text_folder(root / "text"),
            "labelled": labelled_folder(root / "labelled")}


def made(folders, model, data, kind, **options):
    return HuggingFace(str(folders[model]), str(folders[data]), kind, LENGTH, **options)


def seeded(seed, make):
    torch.manual_seed(seed)
    return make()


def test_causal_windows_are_the_tokens_in_their_order(folders):
    task = made(folders, "gpt2", "text", "causal")
    tokenizer = AutoTokenizer.from_pretrained(folders["gpt2"])
    for split, name in (("train", "wiki.train.raw"), ("validation", "wiki.valid.raw")):
        tokens = tokenizer((folders["text"] / name).read_text())["input_ids"]
        (windows,) = task.data(split)
        assert windows.flatten().tolist() == tokens[: len(tokens) // LENGTH * LENGTH]
    model = task.model()
    batch = windows[:5].long()
    by_hand = torch.nn.functional.cross_entropy(model(batch).logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten())
    torch.testing.assert_close(task.loss(model, (windows[:5],)), by_hand)


def test_rows_that_do_not_end_a_line_are_documents():
    tokenize = {"a b": [1, 2], "c\n": [3], "": [], "d": [4]}
    windows = cut_windows(["a b", "c\n", "", "d"], lambda texts: [tokenize[text] for text in texts], 2, Frame(end=9))
    assert windows.tolist() == [[1, 2], [9, 3], [4, 9]]
    framed = cut_windows(["a b", "c\n", "d"], lambda texts: [tokenize[text] for text in texts], 4, Frame((7,), (8,), 9))
    assert framed.tolist() == [[7, 1, 2, 8], [7, 9, 3, 8], [7, 4, 9, 8]]


@given(st.integers(0, 2**31), st.integers(4, 40))
def test_every_window_has_as_many_masked_tokens_and_keeps_the_others(seed, length):
    windows = torch.randint(5, 30, (3, length), dtype=torch.int32)
    windows[:, 0], windows[:, -1] = 2, 3
    masked = Masked(windows, special=[2, 3, 4], mask=4, vocabulary=30)
    first, second = (seeded(seed, lambda: [masked[i] for i in range(3)]) for _ in range(2))
    for before, sample, again in zip(windows.long(), first, second, strict=True):
        assert all(torch.equal(sample[name], again[name]) for name in sample)
        chosen = sample["labels"] != -100
        assert chosen.sum() == max(1, round(0.15 * length)) and not chosen[[0, -1]].any()
        assert torch.equal(sample["labels"][chosen], before[chosen])
        assert torch.equal(sample["input_ids"][~chosen], before[~chosen])


def test_of_the_chosen_tokens_four_fifths_are_masked_and_a_tenth_is_replaced():
    windows = torch.full((1, 20_000), 10, dtype=torch.int32)
    sample = seeded(0, lambda: Masked(windows, [2], mask=4, vocabulary=1000)[0])
    chosen = sample["input_ids"][sample["labels"] != -100]
    shares = [(chosen == 4).float().mean(), (chosen == 10).float().mean(), ((chosen != 4) & (chosen != 10)).float().mean()]
    for share, expected in zip(shares, (0.8, 0.1, 0.1), strict=True):  # of 3,000: the standard deviations are 0.007 and 0.005
        assert abs(share - expected) < 0.03


def test_masked_windows_stand_between_the_marks_and_their_loss_is_the_mean_over_windows(folders):
    task = made(folders, "bert", "text", "masked")
    data, model = task.data("train"), task.model().eval()
    assert (data.windows[:, 0] == 2).all() and (data.windows[:, -1] == 3).all()
    samples = seeded(0, lambda: [data[i] for i in range(6)])
    single = torch.stack([task.loss(model, default_collate([sample])) for sample in samples])
    torch.testing.assert_close(task.loss(model, default_collate(samples)), single.mean())
    reference = BertForMaskedLM.from_pretrained(folders["bert"]).eval()
    torch.testing.assert_close(single[0], reference(**{name: value[None] for name, value in samples[0].items()}).loss)


def test_a_folder_with_weights_starts_every_seed_from_them_and_draws_the_head(folders):
    task = made(folders, "bert", "labelled", "classification")
    first, again, other = (seeded(seed, task.model) for seed in (0, 0, 1))
    weights = BertForMaskedLM.from_pretrained(folders["bert"]).bert.state_dict()
    for model in (first, other):
        body = model.bert.state_dict()
        assert len(body) > 10 and all(torch.equal(body[name], weights[name]) for name in weights)
    assert torch.equal(first.classifier.weight, again.classifier.weight) and first.classifier.weight.dtype == torch.float32
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_a_configuration_alone_starts_from_the_seed(folders):
    first, again, other = (seeded(seed, made(folders, "gpt2", "text", "causal").model) for seed in (0, 0, 1))
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.transformer.wte.weight, other.transformer.wte.weight)


@pytest.mark.parametrize("model", ["bert", "gpt2"])
def test_texts_of_a_classification_do_not_depend_on_their_padding(folders, model):
    """GPT-2 has no token to pad with, and reads the class at the last token of the text."""
    task = made(folders, model, "labelled", "classification")
    data, classifier = task.data("train"), seeded(0, task.model).eval()
    assert [sample["labels"] for sample in data[:9]] == [int("ship" in text) for text in sentences(200, 0)[:9]]
    assert len({len(sample["input_ids"]) for sample in data[:9]}) > 1
    single = torch.stack([task.loss(classifier, task.collate([sample])) for sample in data[:9]])
    batch = task.collate(data[:9])
    torch.testing.assert_close(task.loss(classifier, batch), single.mean())
    right = classifier(**batch).logits.argmax(1) == batch["labels"]
    assert task.accuracy(classifier, batch) == right.float().mean()
    assert len(task.data("validation")) == 64  # not the test rows, which have no labels
    if model == "gpt2":
        assert isinstance(classifier, GPT2ForSequenceClassification)


def test_names_of_classes_and_columns_of_other_names(folders, tmp_path):
    rows = [{"words": text, "mood": "good" if "good" in text else "bad"} for text in sentences(60)]
    json_lines(tmp_path / "rows.jsonl", [*rows, *rows])
    task = HuggingFace(str(folders["bert"]), str(tmp_path), "classification", 16, text="words", label="mood")  # nothing is cut
    train, validation = task.data("train"), task.data("validation")
    assert len(train) + len(validation) == 120 and 6 <= len(validation) <= 24
    held = {tuple(sample["input_ids"]) for sample in validation}
    assert not held & {tuple(sample["input_ids"]) for sample in train}  # the same text is on one side
    assert {sample["labels"] for sample in train} == {0, 1}
    with pytest.raises(FieldError, match=r"text = None names no column, and none is called text or .*: give one of words, mood"):
        HuggingFace(str(folders["bert"]), str(tmp_path), "classification", LENGTH).data("train")


def test_what_is_written_is_a_task_and_another_content_is_refused(folders, tmp_path):
    model, data = (shutil.copytree(folders[name], tmp_path / name) for name in ("bert", "labelled"))
    text = ADAPTER.text(str(model), {"data": str(data), "kind": "classification", "length": "9"})
    source = read_text(text, "task")
    assert (source.title, source.sample, source.higher_is_better) == ("bert on labelled", "text", ("accuracy",))
    assert "a model of type bert that predicts the class of a text, from the weights" in source.description.lower()
    names = {}
    exec(text, names)
    assert len(names["data"]("train")) == 200
    (model / "checkpoint-9").mkdir()
    (model / "checkpoint-9" / "model.safetensors").write_text("of a training that goes on")
    exec(text + '\ndata("train")', {})
    archive = data / "labelled.zip"
    archive.write_bytes(b"what the data came from")
    again = ADAPTER.text(str(model), {"data": str(data), "kind": "classification", "length": "9"})
    archive.unlink()
    exec(again + '\ndata("train")', {})
    weights = model / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(FieldError, match="has changed since the task was made of it"):
        exec(text + '\ndata("train")', {})


def test_no_connection_is_opened_and_weights_of_torch_are_read(folders, tmp_path, monkeypatch):
    """Also where a library would offer to convert such weights at the hub. They are trained in float32."""
    model = shutil.copytree(folders["bert"], tmp_path / "bert")
    weights = {name: value.bfloat16() for name, value in BertForMaskedLM.from_pretrained(model).state_dict().items()}
    without(model, "model.safetensors")
    torch.save({}, model / "training_args.bin")  # a Trainer's, no weights
    opened = []
    monkeypatch.setattr(socket.socket, "connect", lambda *address: opened.append(address))
    task = HuggingFace(str(model), str(folders["text"]), "masked", LENGTH)
    assert not torch.equal(*(seeded(seed, task.model).state_dict()["cls.predictions.decoder.weight"] for seed in (0, 1)))
    torch.save(weights, model / "pytorch_model.bin")
    assert len(task.data("train")) > 100
    assert all(torch.equal(value, weights[name].float()) for name, value in task.model().state_dict().items())
    assert not opened


def without(folder, *names):
    for name in names:
        (folder / name).unlink()


def other_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(("model", "data", "kind", "spoil", "sentence"), [
    ("gpt2", "text", "causal", lambda f: without(f, "config.json"), "has no config.json: give a folder that"),
    ("gpt2", "text", "causal", lambda f: (f / "config.json").write_text("{"), "config.json = "),
    ("gpt2", "text", "causal", lambda f: (f / "config.json").write_text("[]"), "names no model_type: give the configuration"),
    ("gpt2", "text", "causal", lambda f: without(f, "tokenizer.json"), "has no tokenizer: save it there as well"),
    ("gpt2", "text", "causal", lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer = "),
    ("gpt2", "text", "causal", lambda f: other_config(f, model_type="gpt99"), "is none of this version of transformers"),
    ("gpt2", "text", "causal", lambda f: other_config(f, model_type="own", auto_map={"AutoConfig": "own.Config"}),
     "is none of this version of transformers"),
    ("gpt2", "text", "causal", lambda f: other_config(f, vocab_size=7), "has 18 tokens and the model 7: save the tokenizer"),
    ("gpt2", "text", "masked", None, "kind = 'masked' is nothing that a model of type gpt2 is made for: give --kind causal or"),
    ("bert", "text", "causal", None, "kind = 'causal' is not what this model is made for, as it sees the tokens that it is to"),
    ("bert", "text", "dancing", None, "kind = 'dancing' is no kind of training: give --kind causal, --kind masked"),
    ("bert", "text", "classification", None, "label = None names no column, and none is called label or labels"),
    ("bert", "bert", "masked", None, "config.json' cannot be read (Expecting property name"),
    ("bert", None, "masked", None, "data = None is missing: give --data FOLDER"),
])
def test_a_bad_folder_is_a_sentence(folders, tmp_path, model, data, kind, spoil, sentence):
    folder = shutil.copytree(folders[model], tmp_path / model)
    if spoil:
        spoil(folder)
    options = {"kind": kind, "length": str(LENGTH)} | ({} if data is None else {"data": str(folders[data])})
    with pytest.raises(FieldError) as raised:
        names = {}
        exec(ADAPTER.text(str(folder), options), names)
        names["data"]("train")
        names["model"]()
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(("rows", "sentence"), [
    ([("a", 1), ("b", None)], "label = 'int, missing' is no type of a class: give whole numbers or names"),
    ([("a", 0.5), ("b", 1.5)], "label = 'float' is no type of a class"),
    ([("a", 1), ("b", 1)], "label = '1' is no set of classes: give rows of two classes or more"),
    ([("a", -1), ("b", 1)], "label = '-1, 1' is no set of classes"),
    ([("a", 0), (3, 1)], "text = 'int' stands in row 2 of the train data: give texts alone"),
])
def test_rows_that_have_no_classes_are_a_sentence(folders, tmp_path, rows, sentence):
    json_lines(tmp_path / "train.jsonl", [{"text": text, "label": label} for text, label in rows])
    with pytest.raises(FieldError) as raised:
        HuggingFace(str(folders["bert"]), str(tmp_path), "classification", LENGTH).data("train")
    assert sentence in str(raised.value)


def test_too_little_text_is_a_sentence(folders, tmp_path):
    (tmp_path / "train.txt").write_text("the old sea\n")
    with pytest.raises(FieldError, match="has too little text for train: give more of it, or windows shorter than --length 12"):
        HuggingFace(str(folders["gpt2"]), str(tmp_path), "causal", LENGTH).data("train")
