accelerate launch --num_processes=2 --mixed_precision bf16 --num_cpu_threads_per_process 1 sd-scripts/flux_train_network.py \
  --pretrained_model_name_or_path /data/models/flux.safetensors \
  --dataset_config /data/dataset.toml --output_dir /data/runs --output_name style \
  --save_model_as safetensors --sdpa --cache_latents_to_disk \
  --network_module networks.lora_flux --network_dim 16 \
  --optimizer_type adamw8bit --optimizer_args "betas=0.9,0.95" "eps=1e-8" "weight_decay=0.01" \
  --learning_rate 2e-4 --lr_scheduler constant \
  --max_train_epochs 8 --save_every_n_epochs 1 --gradient_accumulation_steps 4
