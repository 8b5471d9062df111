"""Augmentation of whole batches on the device that trains; a recipe names its file.

`augmented(images, draws, symmetries)` takes images (B, C, S, S) and uniform random numbers
(B, DRAWS). All randomness is in these numbers, so the result for an image does not depend on its
rank, batch or device.
"""
