"""The published data sets of WTTF: what they hold and where they are had.

They are those of Nauen et al., Which Transformer to Favor (WACV 2025), but for CIFAR-10. Nothing is
downloaded: whoever has a data set unpacks it and imports it by the form of the same name in
`forms`. Facts are from the pages and papers that each entry names; what they do not say is None,
with the reason in `unknown`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import SPLITS, Symmetries
from trainables.data.describe import About

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class PublishedSet:
    """A data set as its authors published it.

    `images` counts the images of the authors' splits, `unlabelled` names those without labels;
    `test_from` is the split that the import makes test: valid is cut from train unless it is
    published and not test. `native_size` is in pixels; `on_disk` is the form that is imported.
    """

    title: str
    classes: int
    images: Mapping[str, int]
    unlabelled: tuple[str, ...] = ()
    test_from: str
    native_size: str | None
    home: str
    how: str
    licence: str | None
    citation: str
    on_disk: str
    note: str = ""
    unknown: Mapping[str, str] = field(default_factory=dict)


_VALID_IS_TEST = "as papers do, its labelled validation set is test here; valid is cut from train"

PUBLISHED: Mapping[str, PublishedSet] = {
    "imagenet": PublishedSet(
        title="ImageNet-1k (ILSVRC 2012)",
        classes=1000,
        images={"train": 1_281_167, "valid": 50_000, "test": 100_000},
        unlabelled=("test",),
        test_from="valid",
        native_size=None,
        home="https://www.image-net.org",
        how="request access there; ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and devkit_t12",
        licence="ImageNet terms of access: non-commercial research and education",
        citation=(
            "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, "
            "IJCV 115(3), 211-252, 2015"
        ),
        on_disk="train/WNID/*.JPEG; val/WNID/*.JPEG, or val/*.JPEG with labels or the devkit",
        note=_VALID_IS_TEST,
        unknown={"native_size": "varies from image to image"},
    ),
    "imagenet21k": PublishedSet(
        title="ImageNet-21K-P, winter 2021",
        classes=10_450,
        images={"train": 11_060_223, "valid": 522_500},
        test_from="valid",
        native_size="224 x 224",
        home="https://github.com/Alibaba-MIIL/ImageNet21K",
        how="request access at https://www.image-net.org; the processed version of ImageNet21K",
        licence="ImageNet terms of access: non-commercial research and education",
        citation=(
            "Ridnik et al., ImageNet-21K Pretraining for the Masses, NeurIPS Datasets and "
            "Benchmarks 2021, arXiv:2104.10972"
        ),
        on_disk="imagenet21k_train/WNID/*, imagenet21k_val/WNID/*; or WNID/* of the whole",
        note=_VALID_IS_TEST,
    ),
    "stanford_cars": PublishedSet(
        title="Stanford Cars",
        classes=196,
        images={"train": 8_144, "test": 8_041},
        test_from="test",
        native_size=None,
        home="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        how="the home page no longer offers it: from a copy with the devkit and the test labels",
        licence=None,
        citation=(
            "Krause et al., 3D Object Representations for Fine-Grained Categorization, "
            "3dRR workshop at ICCV 2013"
        ),
        on_disk="cars_train/*.jpg, cars_test/*.jpg, devkit/*.mat, cars_test_annos_withlabels.mat",
        note="it has no validation set: valid is cut from train",
        unknown={
            "native_size": "varies from image to image",
            "licence": "the home page is gone and copies state none",
        },
    ),
    "flowers102": PublishedSet(
        title="Oxford Flowers-102",
        classes=102,
        images={"train": 1_020, "valid": 1_020, "test": 6_149},
        test_from="test",
        native_size=None,
        home="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        how="102flowers.tgz, imagelabels.mat and setid.mat from the home page",
        licence=None,
        citation=(
            "Nilsback and Zisserman, Automated Flower Classification over a Large Number of "
            "Classes, ICVGIP 2008"
        ),
        on_disk="jpg/image_00001.jpg and so on, imagelabels.mat, setid.mat",
        unknown={
            "native_size": "varies from image to image",
            "licence": "none is known to be stated by the authors",
        },
    ),
    "places365": PublishedSet(
        title="Places365-Standard",
        classes=365,
        images={"train": 1_803_460, "valid": 36_500, "test": 328_500},
        unlabelled=("test",),
        test_from="valid",
        native_size="256 x 256 (small images; large ones vary)",
        home="http://places2.csail.mit.edu",
        how="train_256_places365standard.tar, val_256.tar and the file lists from the home page",
        licence="terms of the download page: non-commercial research and education, not passed on",
        citation=(
            "Zhou et al., Places: A 10 Million Image Database for Scene Recognition, "
            "IEEE TPAMI 40(6), 1452-1464, 2018"
        ),
        on_disk="data_256/a/abbey/*.jpg, val_256/*.jpg and three lists; or train/CLASS, val/CLASS",
        note=_VALID_IS_TEST,
    ),
}


def command(name: str) -> str:
    """What imports a published set; SOURCE is the folder in which it was unpacked."""
    return f"python -m trainables.data import SOURCE --to {name} --form {name}"


def about(name: str) -> About:
    """What `dataset.json` says of an imported set. All are photographs, which may be mirrored."""
    known = PUBLISHED[name]
    return About(
        symmetries=Symmetries(horizontal_flip=True),
        source=f"{known.title}, {known.home}; {known.citation}",
        licence=known.licence,
    )


def notes(name: str, classes: int, splits: NDArray[np.int8]) -> list[str]:
    """What to say of a source of `classes` classes and of splits (N,): it may be a subset."""
    known = PUBLISHED[name]
    valid_is_given = known.test_from == "test" and "valid" in known.images
    test = int((splits == SPLITS.index("test")).sum())
    valid = int((splits == SPLITS.index("valid")).sum()) if valid_is_given else 0
    found = {
        "classes": (classes, known.classes),
        "training images": (len(splits) - test - valid, known.images["train"]),
        "test images": (test, known.images[known.test_from]),
    }
    if valid_is_given:
        found["validation images"] = valid, known.images["valid"]
    differ = [f"{has:,} {what}, not {all_:,}" for what, (has, all_) in found.items() if has != all_]
    said = [f"{known.title}: {known.note}"] if known.note and test else []
    if differ:
        said.append(
            f"{known.title}: this source has {'; '.join(differ)}: results are not comparable with "
            "published ones"
        )
    return said


def shown() -> "Table":
    """All published sets as a table for people."""
    from rich.table import Table

    table = Table(title="published data sets, imported from a copy of your own", show_lines=True)
    for heading in ("data set", "classes", "images", "licence", "where, and the import"):
        table.add_column(heading, overflow="fold")
    for name, known in PUBLISHED.items():
        counts = [
            f"{count:,} {split}{' without labels' if split in known.unlabelled else ''}"
            for split, count in known.images.items()
        ]
        size = known.native_size or known.unknown["native_size"]
        table.add_row(
            known.title,
            f"{known.classes:,}",
            "\n".join(filter(None, [*counts, f"pixels: {size}", known.note])),
            known.licence or f"unknown: {known.unknown['licence']}",
            f"{known.home}\n{known.how}\nunpacked: {known.on_disk}\n{command(name)}",
        )
    return table
