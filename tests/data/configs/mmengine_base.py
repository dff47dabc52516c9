_base_ = './mask-rcnn_swin-t.py'
# only the batch and the rate are changed
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.0002))
