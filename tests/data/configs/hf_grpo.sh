ACCELERATE_LOG_LEVEL=info accelerate launch --config_file recipes/zero2.yaml --num_processes=7 src/open_r1/grpo.py \
  --config recipes/grpo/config.yaml --learning_rate 2e-5 --per_device_train_batch_size 16 \
  --gradient_accumulation_steps 4 --num_generations 16 --reward_funcs accuracy format
