"""GFNet in the plain shell, without LayerScale and deeper, since its blocks have one residual each.

There are no heads: the shell's number of heads is held at 1.
"""

from spaces.rules import Divides
from spaces.space import Integer, Space
from spaces.wttf import SHELL, TRAINING, TRAINING_CONDITIONS, row

SPACE = Space(
    model="gfnet",
    family="Fourier Attention",
    params={
        "grid": SHELL["grid"],
        "depth": Integer(2, 20),
        "dim": SHELL["dim"],
        **TRAINING,
    },
    fixed={"heads": 1},
    rules=(Divides("grid", "image_size"),),
    conditions=TRAINING_CONDITIONS,
    published=(row("GFNet-S/16", heads=None, depth=19),),
    source="wttf_table6.csv",
)
