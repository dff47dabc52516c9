python3 -m MaxText.train src/MaxText/configs/base.yml run_name=gpt3-6b base_output_directory=gs://bucket/out \
  dataset_type=synthetic model_name=gpt3-6b per_device_batch_size=4 gradient_accumulation_steps=2 steps=8000 \
  opt_type=adamw learning_rate=2e-4 adam_b1=0.9 adam_b2=0.95 adam_eps=1e-8 adam_eps_root=0 adam_weight_decay=0.1 gradient_clipping_threshold=0 \
  enable_checkpointing=false ici_fsdp_parallelism=8
