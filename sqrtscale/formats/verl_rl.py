"""verl's reinforcement learning (PPO, GRPO ...): its YAML, or overrides of it in a command. The actor's optimizer is read.

Looked up: verl, verl/trainer/config/ppo_trainer.yaml, actor/actor.yaml, verl/workers/fsdp_workers.py and actor/dp_actor.py: a
step of the actor sees ``ppo_mini_batch_size`` prompts with ``rollout.n`` completions each, out of ``data.train_batch_size``.
"""

from __future__ import annotations

from ._format import Signature
from ._reading import Reading, as_number
from ._table import Note, Row, Table
from .verl import SCHEDULES, irrelevant_at, optimizer_at, rows_at, settle

ACTOR = ("actor_rollout_ref", "actor")
OPTIM = ".".join((*ACTOR, "optim", ""))


def _more(reading: Reading) -> None:
    settle(reading, *ACTOR, "optim")
    reading.defaults.clear()
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
        least=3, needs=("actor_rollout_ref",)),
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
    irrelevant=(*irrelevant_at(OPTIM), "critic.*", "data.*", "reward_model.*", "trainer.*", "defaults.*",
                "actor_rollout_ref.ref.*", "actor_rollout_ref.rollout.*", "actor_rollout_ref.model.*",
                "actor_rollout_ref.actor.ppo_*", "algorithm.*", "actor_rollout_ref.actor.checkpoint.*",
                "actor_rollout_ref.actor.*_coeff"),
)
FORMAT = TABLE.format
