"""The user's module and loaders, in the process that trains. Their library is the one that their file imports."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....rules import FieldError
from ...own.errors import users_code
from ..files import check_split, check_unchanged, fingerprint
from .without_trainer import LOGGED, check_hooks, without_trainer

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGES = ("lightning", "pytorch_lightning")
PREFIX = re.compile(r"^(val|valid|validation)[_/.]+")


@dataclass(frozen=True)
class Lightning:
    """What the functions of a task's file call.

    module, data_module: names of classes in the file; contents: the fingerprint of the file as the task was made of it, another
    one is refused.
    """

    file: str
    module: str
    data_module: str
    contents: str | None = None

    def model(self) -> nn.Module:
        """A fresh module without a Trainer."""
        with self._users_code():
            made: nn.Module = self._module_class()
        if not getattr(made, "automatic_optimization", True):
            raise FieldError("automatic_optimization", False, f"means that training_step of {self.module} makes the steps, which "
                             "sqrtscale makes itself: return the loss there, and leave the optimizer alone")
        return made

    def data(self, split: str) -> Loaded:
        """The samples of a loader of the DataModule."""
        check_split(split)
        return self._loaded[split]

    def collate(self, samples: Sequence[tuple[str, Any]]) -> Any:
        """A batch as the loader of these samples makes it."""
        loaded = self._loaded[samples[0][0]]
        with self._users_code():
            return loaded.collate([sample for _, sample in samples])

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """What training_step returns; what it logs is dropped."""
        returned, _ = self._step(model, "training_step", batch)
        loss = returned.get("loss") if isinstance(returned, Mapping) else returned
        if loss is None:
            raise FieldError("training_step", type(returned).__name__, "has no loss in it: return the loss, or a dictionary with "
                                                                       'it under "loss"')
        tensor: Tensor = loss
        return tensor

    def metrics(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """What validation_step logs, without val_ before its names; a loss among it is called logged_loss."""
        if type(model).validation_step is self._base(self.module, "LightningModule").validation_step:  # type: ignore[attr-defined]
            return {}
        _, logged = self._step(model, "validation_step", batch)
        names = {name: re.sub(r"\W+", "_", PREFIX.sub("", name)) for name in logged}
        return {"logged_loss" if metric == "loss" else metric: _number(logged[name]) for name, metric in names.items()}

    def configuration(self, model: nn.Module) -> dict[str, Any]:
        """The optimizer of configure_optimizers, to read its values, and the loader's batch. It is never stepped."""
        with self._users_code():
            returned = model.configure_optimizers()  # type: ignore[operator]
        if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], list):
            returned = returned[0]
        given = list(returned) if isinstance(returned, list | tuple) else [returned]
        if len(given) != 1:
            raise FieldError("configure_optimizers", f"{len(given)} optimizers", "are not one configuration: return one of them")
        optimizer = given[0]["optimizer"] if isinstance(given[0], Mapping) else given[0]
        return {"optimizer": optimizer, "batch_size": self._loaded["train"].batch_size}

    def _step(self, model: nn.Module, step: str, batch: Any) -> tuple[Any, dict[str, Any]]:
        """What a step of the module returns, and what it logs."""
        function: Callable[..., Any] = getattr(model, step)
        places = [parameter.name for parameter in inspect.signature(function).parameters.values()
                  if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)]
        if "dataloader_iter" in places:
            raise FieldError(step, "dataloader_iter", "fetches its own batches: take (batch, batch_idx)")
        for part in model.modules():
            if _is_metric(part):  # it keeps what it has seen, and no step makes an epoch
                part.reset()  # type: ignore[operator]
                part.to(model.device)  # type: ignore[arg-type]
        model.__dict__[LOGGED] = {}
        with self._users_code():
            returned = function(*(batch, 0)[: max(1, len(places))])
        return returned, model.__dict__.pop(LOGGED)

    def _users_code(self) -> AbstractContextManager[None]:
        return users_code(self.file)

    @cached_property
    def _namespace(self) -> Mapping[str, Any]:
        """What the user's file defines."""
        path = Path(self.file)
        if not path.is_file():
            raise FieldError("FILE", self.file, "is not there any more: put it back, or add the task again")
        check_unchanged(path, self.contents, fingerprint(path.parent, [path]))
        sys.path.append(str(path.parent))  # last: a file beside it must not pass for a library
        with self._users_code():
            spec = importlib.util.spec_from_file_location(f"lightning_file_{path.stem}", path)
            assert spec is not None and spec.loader is not None
            module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        return vars(module)

    def _base(self, name: str, base: str) -> Any:
        """The class of Lightning below one of the user's. Raises FieldError where there is none, or arguments are needed."""
        own = self._namespace.get(name)
        bases = [each for each in own.__mro__ if each.__name__ == base and each.__module__.partition(".")[0] in PACKAGES] \
            if isinstance(own, type) else []
        if not bases:
            raise FieldError("class", name, f"is no {base}: give the name of one in {Path(self.file).name}")
        any_number = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        needed = [parameter.name for parameter in inspect.signature(own).parameters.values()  # type: ignore[arg-type]
                  if parameter.default is parameter.empty and parameter.kind not in any_number]
        if needed:
            raise FieldError("class", name, f"cannot be made without {', '.join(needed)}: give them defaults in its __init__, or "
                                            "write a subclass that passes them")
        return bases[0]

    @cached_property
    def _module_class(self) -> Any:
        base = self._base(self.module, "LightningModule")
        own = self._namespace[self.module]
        check_hooks(own, base, self.module)
        if own.training_step is base.training_step:
            raise FieldError("class", self.module, "has no training_step: define training_step(self, batch, batch_idx)")
        return without_trainer(own)

    @cached_property
    def _loaded(self) -> dict[str, Loaded]:
        base = self._base(self.data_module, "LightningDataModule")
        own = self._namespace[self.data_module]
        check_hooks(own, base, self.data_module)
        loaders = {}
        with self._users_code():
            data = without_trainer(own)()
            data.prepare_data()
            data.setup("fit")
            for split, function in (("train", "train_dataloader"), ("validation", "val_dataloader")):
                if getattr(own, function) is getattr(base, function, None):
                    raise FieldError("class", self.data_module, f"has no {function}: define it")
                loaders[split] = getattr(data, function)()
        return {split: Loaded(split, self.file, loader) for split, loader in loaders.items()}


class Loaded:
    """The samples of a loader, each with the name of its split."""

    def __init__(self, split: str, file: str, loader: Any):
        if isinstance(loader, list | tuple) and len(loader) == 1:
            (loader,) = loader
        self.split, self.file = split, file
        self.dataset: Any = getattr(loader, "dataset", None)
        self.collate: Any = getattr(loader, "collate_fn", None)
        field = "train_dataloader" if split == "train" else "val_dataloader"
        if self.dataset is None or self.collate is None:
            raise FieldError(field, type(loader).__name__, "is no loader of torch: return one DataLoader")
        if not hasattr(self.dataset, "__len__") or not hasattr(self.dataset, "__getitem__"):
            raise FieldError(field, type(self.dataset).__name__, "gives its samples one after another: return a loader of a data "
                                                                 "set with __len__ and __getitem__")
        sampler = type(getattr(loader, "sampler", None)).__name__
        self.batch_size: int | None = getattr(loader, "batch_size", None)
        if self.batch_size is None:
            raise FieldError(field, "batch_size=None", "makes no batches of samples: give the loader a batch_size")
        if sampler not in ("RandomSampler", "SequentialSampler"):
            raise FieldError(field, sampler, "draws samples in its own way, and sqrtscale takes all alike: return a loader of "
                                             "the samples that are meant, torch.utils.data.Subset, and without a sampler")

    def __len__(self) -> int:
        with users_code(self.file):
            return len(self.dataset)

    def __getitem__(self, place: int) -> tuple[str, Any]:
        with users_code(self.file):
            return self.split, self.dataset[place]


def _number(value: Any) -> Tensor:
    """What was logged; of a metric of torchmetrics its value on this batch."""
    import torch

    return torch.as_tensor(value.compute() if _is_metric(value) else value).float()


def _is_metric(part: object) -> bool:
    """Whether this is one of torchmetrics, which holds tensors that are neither parameters nor buffers."""
    return all(hasattr(part, name) for name in ("update", "compute", "reset"))
