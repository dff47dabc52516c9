accelerate launch --num_processes 1 train_dreambooth.py \
  --pretrained_model_name_or_path some/stable-diffusion \
  --instance_data_dir /data/dog \
  --instance_prompt "a photo of sks dog" \
  --resolution 512 \
  --train_batch_size 4 \
  --learning_rate 5e-7 --scale_lr \
  --lr_scheduler constant \
  --max_train_steps 800 \
  --output_dir dog
