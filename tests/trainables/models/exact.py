"""What equality means for a model in float64 and its plain reference."""

from functools import partial

import torch

assert_exact = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)
