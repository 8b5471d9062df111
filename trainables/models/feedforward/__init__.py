"""Feed-forward networks for the plain shell with softmax attention, one per file.

A file holds `Config` and `FeedForward(width, hidden, dropout, config)`, a module from (B, N, D) to
(B, N, D); `PUBLISHED` and `SHELL` as in `attention/`.
"""
