"""Folders with tiny models of transformers, their tokenizer and data, as users have them."""

import json
import random

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForMaskedLM, GPT2Config, PreTrainedTokenizerFast

WORDS = ("the", "old", "sea", "was", "green", "and", "cold", "a", "ship", "came", "home", "late", "good", "bad", "day", "ends")
LENGTH = 12


def sentences(count, seed=0):
    """Words of which each mostly follows from the one before: something can be learned."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        place, words = draw.randrange(len(WORDS)), []
        for _ in range(draw.randint(6, 14)):
            words.append(WORDS[place])
            place = (5 * place + 3) % len(WORDS) if draw.random() < 0.9 else draw.randrange(len(WORDS))
        made.append(" ".join(words))
    return made


def tokenizer_of(folder, framed):
    """A fast one of whole words; framed: with marks of begin and end, as BERT's."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] if framed else ["[UNK]", "<end>"]
    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator([" ".join(WORDS)], trainers.WordLevelTrainer(special_tokens=special))
    if framed:
        words.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
        named = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    else:
        named = {"eos_token": "<end>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", **named)
    fast.save_pretrained(folder)
    return fast


def gpt2_folder(folder):
    """Configuration and tokenizer, without weights."""
    vocabulary = len(tokenizer_of(folder, framed=False))
    GPT2Config(vocab_size=vocabulary, n_positions=16, n_embd=8, n_layer=1, n_head=2, bos_token_id=1,
               eos_token_id=1).save_pretrained(folder)
    return folder


def bert_folder(folder):
    """With weights of a masked language model."""
    vocabulary = len(tokenizer_of(folder, framed=True))
    torch.manual_seed(11)
    BertForMaskedLM(BertConfig(vocab_size=vocabulary, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                               intermediate_size=16, max_position_embeddings=16)).save_pretrained(folder)
    return folder


def text_folder(folder):
    """Raw text of both splits."""
    folder.mkdir()
    for name, count, seed in (("wiki.train.raw", 400, 0), ("wiki.valid.raw", 80, 1)):
        (folder / name).write_text("".join(f"{line}\n" for line in sentences(count, seed)))
    return folder


def labelled_folder(folder):
    """Parquet as SST-2 has it: sentence, label, idx; the test rows carry no label."""
    import pandas as pd

    folder.mkdir()
    for split, count, seed in (("train", 200, 0), ("validation", 64, 1), ("test", 8, 2)):
        texts = sentences(count, seed)
        labels = [-1 if split == "test" else int("ship" in text) for text in texts]
        pd.DataFrame({"sentence": texts, "label": labels, "idx": range(count)}).to_parquet(
            folder / f"{split}-00000-of-00001.parquet")
    return folder


def glue_folder(folder):
    """SST-2 as GLUE's archive has it: names, then rows, between tabs; the test rows have an index and no label."""
    folder.mkdir()
    for name, count, seed in (("train", 200, 0), ("dev", 64, 1)):
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "".join(
            f"{text} \t{int('ship' in text)}\n" for text in sentences(count, seed)))
    (folder / "test.tsv").write_text("index\tsentence\n0\tthe old sea\n")
    (folder / "original").mkdir()
    (folder / "original" / "README.txt").write_text("of the treebank\n")
    return folder


def json_lines(path, rows):
    """The rows, an object in each line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
