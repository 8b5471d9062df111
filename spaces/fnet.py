"""FNet in the plain shell. There are no heads: the shell's number of heads is held at 1."""

from spaces.rules import Divides
from spaces.space import Choice, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="fnet",
    family="Fourier Attention",
    params={
        "grid": SHELL["grid"],
        "depth": SHELL["depth"],
        "dim": SHELL["dim"],
        "fft_norm": Choice(("forward", "ortho")),
        "layer_scale": Choice((1e-4, 1e-2, 1.0)),
        **TRAINING,
    },
    fixed={"heads": 1},
    rules=(Divides("grid", "image_size"),),
    conditions=TRAINING_CONDITIONS,
    published=(row("FNet-S/16", heads=None, fft_norm="forward", layer_scale=1e-4),),
    source="wttf_table6.csv",
)
