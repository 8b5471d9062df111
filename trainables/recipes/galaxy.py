"""The galaxy paper's: Adam, StepLR once per epoch, turned and mirrored images, no mixed precision.

Source: the training notebooks behind `galaxy_runs.csv`. No weight decay, warm-up or clipping; cross
entropy with class weights; batches of 64; the learning rate is that of most of its best runs.
"""

EPOCHS = 200
VALUES = {
    "optimizer": "adam",
    "lr": 3e-4,
    "schedule": "step",
    "step_size": 5,
    "gamma": 0.9,
    "weight_decay": 0.0,
    "batch_size": 64,
    "augmentation": "symmetries",
    "normalisation": "data",
}
