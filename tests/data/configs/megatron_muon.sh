torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 12 --hidden-size 768 --num-attention-heads 12 --seq-length 1024 \
  --micro-batch-size 8 --global-batch-size 512 --train-iters 10000 --lr 2e-2 --lr-decay-style WSD \
  --optimizer muon --muon-momentum 0.95 --muon-scalar-optimizer adam --adam-beta2 0.95
