"""Trunks that lead fewer and fewer tokens through the blocks of the plain shell, one per file.

A file holds `Config` and `Trunk(layers, config)`, a module from (B, N, D) to (B, N', D) with the
class token first, built of `trainables.models.block.Layers`; `PUBLISHED` and `SHELL` as in
`attention/`. Tokens that are left out leave the computation in evaluation, they are not masked.
"""
