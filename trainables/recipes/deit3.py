"""WTTF's pipeline, after DeiT III (Touvron et al. 2022): its Table 1, row by row.

Pre-training took 90 epochs of ImageNet-21k at 192 or 224 px, fine-tuning 50 of ImageNet-1k at 224
or 384 px. A warm-up of 5 epochs is told as a share of those, so that a smaller budget keeps the
shape of the schedule. The flip (probability .5) is left out where a data set's symmetries forbid
it. Flip, crop, grey, solarise, blur and colour jitter are
`trainables.training.augment.three_augment`.
"""

EPOCHS = 50
PRETRAIN_EPOCHS = 90
WARMUP_EPOCHS = 5

VALUES = {
    "lr": 3e-4,
    "schedule": "cosine",
    "min_lr": 1e-5,
    "batch_size": 2048,
    "warmup_share": WARMUP_EPOCHS / EPOCHS,
    "warmup_lr": 1e-6,
    "weight_decay": 0.02,
    "clip_grad_norm": 1.0,
    "label_smoothing": 0.1,
    "optimizer": "lamb",
    "optimizer_eps": 1e-7,
    "mixed_precision": True,
    "augmentation": "three_augment",
    "cutmix": 1.0,
    "normalisation": "imagenet",
}
PRETRAIN = {**VALUES, "lr": 3e-3, "warmup_share": WARMUP_EPOCHS / PRETRAIN_EPOCHS}
MODEL = {"drop_path": 0.05, "layer_scale": 1e-4, "dropout": 0.0}
