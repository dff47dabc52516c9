"""What makes a transfer doubtful, whatever the format: reinforcement learning, optimizer state in bfloat16, OneCycle."""

from __future__ import annotations

from typing import Any

from ._document import entries, shown

_RL_KEYS = {
    "reward_funcs",
    "reward_model_path",
    "reward_model",
    "num_generations",
    "adv_estimator",
    "actor_rollout_ref",
    "kl_coef",
    "init_kl_coef",
    "cliprange",
    "ppo_epochs",
    "num_ppo_epochs",
    "ppo_mini_batch_size",
    "ppo_buffer_size",
    "reward_baseline_model",
    "num_samples_per_prompt_rollout",
    "num_unique_prompts_rollout",
    "n_samples_per_prompt",
    "rollout_batch_size",
    "total_episodes",
    "gamma_gae",
    "gae_lambda",
    "num_mini_batches",
    "clip_coef",
}
_RL_NAMES = {"grpo", "ppo", "gspo", "dapo", "rloo", "reinforce", "reinforce++", "gdpo", "online_dpo", "drgrpo", "cispo"}
_NAMING_KEYS = {"rl", "stage", "algorithm", "algo", "rlhf_type", "trainer", "trainer_type", "adv_estimator", "rl_algorithm"}
_GROUP_KEYS = ("num_generations", "num_samples_per_prompt_rollout", "n_samples_per_prompt", "group_size")
_BF16_STATE = {
    "exp_avg_sq_dtype",
    "optimizer_state_dtype",
    "optim_state_dtype",
    "adam_dtype",
    "nu_dtype",
    "var_dtype",
    "variance_dtype",
}
_BF16_ALL = {"pure_bf16", "full_bf16"}
_BF16 = {"bf16", "bfloat16", "torch.bfloat16"}


def not_covered(data: Any) -> tuple[str, ...]:
    """Why the rule promises nothing for this training; empty where nothing speaks against it."""
    signs, group = [], ""
    for path, value in entries(data):
        key = path[-1]
        named = key in _NAMING_KEYS and isinstance(value, str) and value.strip().lower() in _RL_NAMES
        if named or (key in _RL_KEYS and value not in (None, False, 0, "")):
            signs.append(f"{shown(path)} = {value}" if named else shown(path))
        if key in _GROUP_KEYS and isinstance(value, int) and not isinstance(value, bool):
            group = f" ({key} = {value} of each prompt)"
    if not signs:
        return ()
    return (
        f"This is reinforcement learning ({', '.join(signs[:3])}), which the rule does not cover: its samples are drawn from the "
        f"policy that is being trained, and the batch counts completions{group}, not prompts. Take the numbers as a start and "
        "tune them.",
    )


def hazards(data: Any) -> tuple[str, ...]:
    """Sentences on settings that act on the optimizer from elsewhere."""
    sentences = []
    for path, value in entries(data):
        text = value.lower().replace("_", "") if isinstance(value, str) and len(value) < 200 else ""
        if "onecycle" in text:
            sentences.append(
                f"{shown(path)} = {value}: OneCycle sets beta1 (or momentum) anew at every step, so the one of the optimizer is "
                "not used: give its base and max momentum the scaled beta1, or set cycle_momentum to false."
            )
        if path[-1] == "max_momentum" and value:
            sentences.append(
                f"{shown(path)} = {value}: OneCycle moves beta1 (or momentum) between base_momentum and max_momentum, so the "
                "betas are where it stood: scale those two like beta1."
            )
        if "relora" in str(path[-1]) and isinstance(value, (int, float)) and not isinstance(value, bool) and value > 1:
            sentences.append(f"{shown(path)} = {value} counts steps of ReLoRA: divide it by kappa.")
    return tuple(dict.fromkeys(sentences))


def bf16_state(data: Any) -> str:
    """The key by which the optimizer's second moment is kept in bfloat16, or nothing."""
    for path, value in entries(data):
        key, text = path[-1], value.lower() if isinstance(value, str) else value
        if key in _BF16_STATE and text in _BF16:
            return shown(path)
        if (key in _BF16_ALL and value is True) or text in ("bf16-true", "adamw_anyprecision"):
            return f"{shown(path)} = {value}"
    return ""
