"""The galaxy paper's for its pre-trained ViT-Base: a smaller rate that falls faster.

Source: the notebook behind Tables 6 to 8 of `galaxy_runs.csv` and their best run, 010822B. The
weights were pre-trained on pixels scaled to -1..1; gamma was .1, .9 or 1. Whether all weights learn
or the classifier alone is the model's `fine_tune`.
"""

EPOCHS = 200
VALUES = {
    "optimizer": "adam",
    "lr": 5e-5,
    "schedule": "step",
    "step_size": 5,
    "gamma": 0.1,
    "weight_decay": 0.0,
    "batch_size": 64,
    "augmentation": "symmetries",
    "normalisation": "half",
}
