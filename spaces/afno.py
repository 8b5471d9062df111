"""AFNO in the plain shell: the blocks of its network and how sparse it makes the spectrum.

There are no heads: the shell's number of heads is held at 1. A threshold far above the largest one
here would leave nothing of the initial network's output, and so no gradient.
"""

from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="afno",
    family="Fourier Attention",
    params={
        "grid": SHELL["grid"],
        "depth": SHELL["depth"],
        "dim": SHELL["dim"],
        "blocks": Choice((1, 2, 4, 8, 16)),
        "sparsity": Choice((0.0, 0.001, 0.01, 0.02)),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    fixed={"heads": 1},
    rules=(Divides("grid", "image_size"), Divides("blocks", "dim")),
    conditions=TRAINING_CONDITIONS,
    published=(
        row("AFNO-S/16", heads=None, blocks=8, sparsity=0.01, layer_scale=1e-4),
        row("AFNO-Ti/16", heads=None, dim=192, blocks=8, sparsity=0.01, layer_scale=1e-4),
    ),
    source="wttf_table6.csv",
)
