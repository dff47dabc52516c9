"""The user's class as it works without a Trainer: what only one has is refused in a sentence, what it would log is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from ....rules import FieldError

if TYPE_CHECKING:
    import torch

LOGGED = "logged_for_sqrtscale"  # the attribute of a module that holds what a step logs
ASKED_OF_TRAINER = ("trainer", "current_epoch", "global_step", "logger", "loggers")
HOOKS = (  # those that may change batches, gradients or weights, and that nobody calls here
    "configure_model", "on_fit_start", "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end",
    "on_before_backward", "backward", "on_after_backward", "configure_gradient_clipping", "on_before_optimizer_step",
    "optimizer_step", "on_before_zero_grad", "optimizer_zero_grad", "on_before_batch_transfer", "transfer_batch_to_device",
    "on_after_batch_transfer",
)


def check_hooks(own: type, base: type, name: str) -> None:
    """Raises FieldError for a class that changes what a Trainer does in a step."""
    for hook in HOOKS:
        if getattr(own, hook, None) is not getattr(base, hook, None):
            raise FieldError("class", name, f"has its own {hook}, which nobody calls here, as sqrtscale makes the steps: move "
                                            "what the loss needs into training_step, and leave it out")


def without_trainer(own: type) -> type:
    """The class, with what stands in for a Trainer in front of it."""
    return type(own.__name__, (_WithoutTrainer, own), {"__module__": own.__module__, "__doc__": own.__doc__})


def _refusing(name: str) -> property:
    def refuse(self: object) -> NoReturn:
        raise FieldError(f"self.{name}", type(self).__name__, "is asked for, and no Trainer runs here: do without it in "
                                                              "__init__, setup, the loaders, training_step and validation_step")

    return property(refuse, lambda self, value: None)


class _WithoutTrainer:
    trainer, current_epoch, global_step, logger, loggers = map(_refusing, ASKED_OF_TRAINER)

    @property
    def device(self) -> torch.device:
        """That of the weights, which are put into the module for each pass."""
        import torch

        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))  # type: ignore[attr-defined]

    def log(self, name: str, value: Any, *more: Any, **options: Any) -> None:
        self.__dict__.setdefault(LOGGED, {})[name] = value

    def log_dict(self, values: Mapping[str, Any], *more: Any, **options: Any) -> None:
        for name, value in values.items():
            self.log(name, value)

    def print(self, *more: Any, **options: Any) -> None:
        pass
