yolo classify train model=yolo11n-cls.pt data=mine epochs=30 imgsz=224 batch=64 optimizer=AdamW lr0=0.001 momentum=0.9 \
  weight_decay=0.01 device=0,1
