export MODEL_NAME="some/stable-diffusion"
export DATASET_NAME="some/captions"

accelerate launch --mixed_precision="fp16" --multi_gpu --num_processes=4 train_text_to_image.py \
  --pretrained_model_name_or_path=$MODEL_NAME \
  --dataset_name=$DATASET_NAME --use_ema \
  --resolution=512 --center_crop --random_flip \
  --train_batch_size=8 \
  --gradient_accumulation_steps=2 \
  --gradient_checkpointing \
  --max_train_steps=16000 \
  --learning_rate=1e-05 \
  --max_grad_norm=1 \
  --lr_scheduler="cosine" --lr_warmup_steps=400 \
  --checkpointing_steps=2000 \
  --output_dir="sd-captions"
