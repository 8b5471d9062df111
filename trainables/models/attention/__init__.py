"""Token mixers for the plain shell, one per file.

A file holds `Config`, a frozen dataclass of its own hyperparameters, and `Attention(geometry,
config)`, a module from (B, N, D) to (B, N, D) that raises ValueError for what cannot be built. It
may hold `PUBLISHED`, rows of the papers' tables as parameters of `trainables.models.build`;
`SHELL`, what the shell must be unless told otherwise, and `FAITHFUL_SHELL`, what else it must be
with `faithful`; `Norm(width, eps, config)`, norms of its own. With `WEIGHTS_DROPPED` it is
`Attention(geometry, config, dropout)`, and the shell's dropout is left to it.
"""
