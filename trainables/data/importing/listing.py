"""What a source of images holds, before any image is read: one form for all importers.

N = images. A form of source (`forms`) makes a listing; `importer` reads its images, splits them and
writes the shards.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trainables.data.describe import About


@dataclass(frozen=True)
class Listing:
    """Images of a source with their labels, in columns: a source may have many millions.

    `ids` (N) are unique texts, such as a path inside the source or an asset's number; messages and
    the shards name images by them. `labels` (N,) are indices into `classes`; `splits` (N,) indices
    into `SPLITS`, -1 where the source gives none. `read(i)` returns the encoded bytes of image `i`
    and raises OSError if they cannot be had; it is called from several threads. `problems` names
    images that the source mentions and that cannot be listed, each as (id, reason). `about` is what
    the form knows of the data set; `notes` are sentences for the person who imports it. Where
    `in_order` is set, `read` is quick for neighbours only: the order of the source is kept.
    """

    classes: tuple[str, ...]
    ids: Sequence[str]
    labels: NDArray[np.int64]
    splits: NDArray[np.int8]
    read: Callable[[int], bytes]
    problems: Sequence[tuple[str, str]] = ()
    about: About = field(default_factory=About)
    notes: Sequence[str] = ()
    in_order: bool = False
