"""`deit3` as WTTF fine-tuned on MIT Places365 (its Table 2)."""

from trainables.recipes import deit3

EPOCHS = 50
PRETRAIN, MODEL = deit3.PRETRAIN, deit3.MODEL
VALUES = {
    **deit3.VALUES,
    "lr": 3e-4,
    "batch_size": 2048,
    "warmup_share": deit3.WARMUP_EPOCHS / EPOCHS,
}
