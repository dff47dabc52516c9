"""verl's reinforcement learning (PPO, GRPO ...): its YAML, or overrides of it in a command. The actor's optimizer is read.

Looked up: verl, verl/trainer/config/ppo_trainer.yaml, actor/actor.yaml, verl/workers/fsdp_workers.py and actor/dp_actor.py: a
step of the actor sees ``ppo_mini_batch_size`` prompts with ``rollout.n`` completions each, out of ``data.train_batch_size``.
"""

from __future__ import annotations

from ._format import Signature
from ._optimizers import covered
from ._reading import Reading, as_number
from ._table import Note, Row, Table
from .verl import NAMES, SCHEDULES, irrelevant_at, optimizer_at, rows_at, settle

ACTOR = ("actor_rollout_ref", "actor")
OPTIM = ".".join((*ACTOR, "optim", ""))


def _more(reading: Reading) -> None:
    settle(reading, *ACTOR, "optim")
    reading.defaults.clear()
    critic = reading.text("critic", "optim", "optimizer")
    if critic is not None:
        covered("critic.optim.optimizer", critic, NAMES)
    prompts = as_number(reading.get(*ACTOR, "ppo_mini_batch_size"))
    completions = as_number(reading.get("actor_rollout_ref", "rollout", "n"))
    known = isinstance(prompts, int) and isinstance(completions, int)
    reading.ask(
        "batch_size",
        "How many completions does one optimizer step of the actor see? That is ppo_mini_batch_size prompts x rollout.n "
        "completions.",
        prompts * completions if known else None,
    )


TABLE = Table(
    key="verl_rl",
    label="verl PPO and GRPO",
    signature=Signature(
        ("actor_rollout_ref.actor", "actor_rollout_ref.rollout", "data.train_batch_size", "data.train_files",
         "algorithm.adv_estimator", "critic.optim", "trainer.n_gpus_per_node", "trainer.total_epochs", "data.max_prompt_length"),
        least=1, needs=("actor_rollout_ref",)),
    optimizer=optimizer_at(OPTIM),
    rows=(
        *rows_at(OPTIM),
        Row("beta2", (f"{OPTIM}betas.1",), 0.999),
        Row("clip_norm", ("actor_rollout_ref.actor.grad_clip", f"{OPTIM}clip_grad"), 1.0),
    ),
    syntaxes=("yaml", "json", "command"),
    schedule=(f"{OPTIM}lr_scheduler_type", SCHEDULES),
    along={f"{OPTIM}clip_grad": "clip_norm", f"{OPTIM}lr_warmup_init": "lr", "critic.optim.lr": "lr",
           "critic.grad_clip": "clip_norm", "critic.optim.clip_grad": "clip_norm", "critic.optim.weight_decay": "weight_decay"},
    notes=(Note("critic.optim", "critic.optim: betas of its own move as the actor's do, so change them by hand."),),
    remarks=(
        "The batch is changed by hand: multiply ppo_mini_batch_size (of the actor and the critic) and data.train_batch_size by "
        "kappa, and divide what trainer counts in steps by kappa.",
    ),
    more=_more,
    over=("hydra", "lightning"),
    irrelevant=(
        *irrelevant_at(OPTIM), *irrelevant_at("critic.optim."), "critic.optim.betas", "critic.optim.optimizer",
        "data.train_batch_size", "data.gen_batch_size", "data.val_batch_size", "trainer.total_training_steps",
        *(f"{part}{size}{each}"
          for part in ("actor_rollout_ref.actor.ppo_", "critic.ppo_", "reward_model.")
          for size in ("mini_batch_size", "micro_batch_size")
          for each in ("", "_per_gpu")),
    ),
)
FORMAT = TABLE.format
