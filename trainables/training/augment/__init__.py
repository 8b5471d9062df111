"""Augmentation of whole batches on the device that trains; a recipe names its file.

Every random number is handed in, so that an image does not depend on the rank, the batch or the
device it is augmented in: `augmented(images, draws, symmetries)` of (B, C, S, S) images takes
(B, DRAWS) uniform numbers.
"""
