"""Models that are no plain shell, one per file.

A file holds `Config`, a frozen dataclass that may judge itself in `mistakes(image_size)`, and
`Model(config, image_size=, num_classes=, in_chans=)` from images to logits; `PUBLISHED` as in
`attention/`.
"""
