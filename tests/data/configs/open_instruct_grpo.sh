python open_instruct/grpo_fast.py --model_name_or_path some/base-model --dataset_mixer_list my/prompts 1.0 \
    --num_unique_prompts_rollout 64 --num_samples_per_prompt_rollout 16 --per_device_train_batch_size 1 --num_mini_batches 2 \
    --learning_rate 5e-7 --total_episodes 200000 --beta 0.01 --with_tracking
