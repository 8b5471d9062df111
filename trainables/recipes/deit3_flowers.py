"""`deit3` as WTTF fine-tuned on Oxford Flowers-102 (its Table 2)."""

from trainables.recipes import deit3

EPOCHS = 2000
PRETRAIN, MODEL = deit3.PRETRAIN, deit3.MODEL
VALUES = {
    **deit3.VALUES,
    "lr": 3e-4,
    "batch_size": 256,
    "warmup_share": deit3.WARMUP_EPOCHS / EPOCHS,
}
