accelerate launch sdxl_train.py --pretrained_model_name_or_path=/data/models/base.safetensors --train_data_dir=/data/images \
  --output_dir=/data/runs --output_name=full --save_model_as=safetensors --save_precision=bf16 --cache_latents \
  --optimizer_type=Adafactor --optimizer_args scale_parameter=False relative_step=False warmup_init=False \
  --learning_rate=4e-7 --train_batch_size=4 --max_train_steps=8000 --full_bf16
