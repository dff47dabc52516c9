"""The model and the samples of a task, in the process that trains."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....rules import FieldError
from ..files import check_split, check_unchanged
from ..windows import Frame, Masked
from .folder import KINDS, check_model, fingerprint, has_weights
from .samples import LabelledTexts, windows_of

if TYPE_CHECKING:
    from torch import Tensor, nn

TRIED = 8  # tokens that a causal model is tried on
OTHER = 5  # the token that the last of them is changed to
UNCHANGED = 1e-5  # a change of rounding, in parts of a real one


@dataclass(frozen=True)
class HuggingFace:
    """What the functions of a task's file call.

    kind: one of KINDS; length: tokens of a window, for a classification the most that a text may have; text, label: names of
    columns, by default those that have one of the usual names; contents: the fingerprint of both folders as the task was made of
    them, another one is refused.
    """

    folder: str
    data_folder: str
    kind: str
    length: int
    text: str | None = None
    label: str | None = None
    contents: str | None = None

    def model(self) -> nn.Module:
        """With the folder's weights, or random ones where it has none; what the weights have no part for is random as well."""
        import torch

        auto, config = getattr(self._library, KINDS[self.kind][0]), self._config
        if self.kind == "classification":
            config.num_labels, config.problem_type = len(self._texts.classes), "single_label_classification"
            config.pad_token_id = self.tokenizer.pad_token_id
        config.use_cache = False
        if has_weights(Path(self.folder)):
            # a classification may begin with a head for other classes
            made, report = auto.from_pretrained(self.folder, config=config, dtype=torch.float32, local_files_only=True,
                                                trust_remote_code=False,
                                                output_loading_info=True, ignore_mismatched_sizes=self.kind == "classification")
            if len(report["missing_keys"]) >= len(made.state_dict()):
                raise FieldError("model", self.folder, "has weights of another model: none of them belongs to a "
                                                       f"{type(made).__name__}, so give a folder with its own, or without any")
        else:
            made = auto.from_config(config, dtype=torch.float32, trust_remote_code=False)
        if self.kind == "causal" and not _is_causal(made, min(TRIED, self.length)):
            raise FieldError("kind", "causal", "is not what this model is made for, as it sees the tokens that it is to predict: "
                                               "give --kind masked, or set is_decoder in its config.json")
        module: nn.Module = made
        return module

    def data(self, split: str) -> Any:
        """Windows of tokens, or texts with their classes."""
        check_split(split)
        check_unchanged(Path(self.folder), self.contents, self._contents)
        return self._samples[split]

    def collate(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Texts of a classification, padded to the longest."""
        import torch

        texts = [{name: value for name, value in sample.items() if name != "labels"} for sample in samples]
        labels = torch.tensor([sample["labels"] for sample in samples])
        return {**self.tokenizer.pad(texts, return_tensors="pt"), "labels": labels}

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """What the model itself gives as its loss."""
        loss: Tensor = model(**self._inputs(batch)).loss
        return loss

    def accuracy(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Of a classification."""
        right: Tensor = model(**batch).logits.argmax(1) == batch["labels"]
        return right.float().mean()

    def _inputs(self, batch: Any) -> dict[str, Tensor]:
        if self.kind == "classification":
            return dict(batch)
        inputs = batch if self.kind == "masked" else dict.fromkeys(("input_ids", "labels"), batch[0].long())
        return {**inputs, "attention_mask": inputs["input_ids"].new_ones(inputs["input_ids"].shape)}

    @cached_property
    def _library(self) -> Any:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when it is imported
        try:
            import transformers
        except ImportError as error:
            raise FieldError("transformers", None, "is not installed: pip install 'sqrtscale[huggingface]'") from error
        library: Any = transformers
        library.logging.set_verbosity_error()
        library.logging.disable_progress_bar()
        return library

    @cached_property
    def _contents(self) -> str:
        return fingerprint(self.folder, self.data_folder)

    @property
    def _config(self) -> Any:
        """The model's configuration, a fresh one each time. Raises FieldError where there is no such model."""
        check_model(Path(self.folder))
        try:
            config = self._library.AutoConfig.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise FieldError("model", self.folder, f"is none of this version of transformers ({_reason(error)}): give another "
                                                   "folder") from error
        possible = [kind for kind, (_, table) in KINDS.items() if type(config) in getattr(self._library, table)]
        if self.kind not in possible:
            raise FieldError("kind", self.kind, f"is nothing that a model of type {config.model_type} is made for: " + (
                f"give --kind {' or --kind '.join(possible)}" if possible else "give the folder of another model"))
        return config

    @cached_property
    def tokenizer(self) -> Any:
        """The one in the model's folder."""
        config = self._config
        try:
            tokenizer = self._library.AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise FieldError("tokenizer", self.folder, f"cannot be read ({_reason(error)}): save it there again, with "
                                                       "tokenizer.save_pretrained") from error
        if self.kind == "classification" and tokenizer.pad_token_id is None:
            if tokenizer.eos_token is None:
                raise FieldError("tokenizer", self.folder, "has no token to pad with: give it a pad_token, and save it again")
            tokenizer.pad_token = tokenizer.eos_token
        known = getattr(config, "vocab_size", len(tokenizer))
        if len(tokenizer) > known:
            raise FieldError("tokenizer", self.folder, f"has {len(tokenizer):,} tokens and the model {known:,}: save the "
                                                       "tokenizer of this model there")
        return tokenizer

    @cached_property
    def _texts(self) -> LabelledTexts:
        return LabelledTexts(self.data_folder, self.text, self.label)

    @cached_property
    def _samples(self) -> Mapping[str, Any]:
        """By split. A window of a masked model stands between its marks of begin and end, where it has them."""
        if self.kind == "classification":
            return self._texts.samples(self.tokenizer, self.length)
        tokenizer = self.tokenizer
        first, last, end, mask = (getattr(tokenizer, f"{name}_token_id") for name in ("cls", "sep", "eos", "mask"))
        if self.kind == "causal":
            windows = windows_of(self.data_folder, self.text, tokenizer, self.length, Frame(end=end))
            return {split: (cut,) for split, cut in windows.items()}
        if mask is None:
            raise FieldError("tokenizer", self.folder, "has no mask token: give --kind causal, or another model")
        frame = Frame(end=end) if first is None or last is None else Frame((first,), (last,), last)
        windows = windows_of(self.data_folder, self.text, tokenizer, self.length, frame)
        return {split: Masked(cut, tokenizer.all_special_ids, mask, len(tokenizer)) for split, cut in windows.items()}


def _is_causal(model: Any, tokens: int) -> bool:
    """Whether what a language model says of so many tokens stays as it is when only the last one is another, tried out."""
    import torch

    first = torch.arange(tokens)[None] % OTHER
    second = first.clone()
    second[0, -1] = OTHER
    with torch.no_grad():
        before, after = (model.eval()(input_ids=given).logits[0] for given in (first, second))
    change = (after - before).abs().amax(1)
    return bool(change[:-1].max() <= UNCHANGED * change[-1])


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:150]
