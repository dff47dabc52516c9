accelerate launch --num_processes=1 train_network.py \
  --pretrained_model_name_or_path=/data/models/sd15.safetensors --train_data_dir=/data/images --output_dir=/data/runs \
  --output_name=style --save_model_as=safetensors --caption_extension=.txt --clip_skip=2 --cache_latents \
  --network_module=networks.lora --network_dim=32 --network_alpha=16 \
  --unet_lr=1e-4 --text_encoder_lr=5e-5 --lr_scheduler=cosine_with_restarts --lr_scheduler_num_cycles=3 --lr_warmup_steps=0 \
  --train_batch_size=4 --max_train_steps=2000 --use_8bit_adam --scale_lr
