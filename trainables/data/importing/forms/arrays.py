"""NumPy arrays of images, labels and maybe class names: a .npz file or a folder of .npy files.

Images are called images, data or x, shaped (N, H, W), (N, H, W, C), (N, C, H, W) or (N, F) with F a
square number; labels are called labels, target or y, (N,); names are target_names or classes. With
splits, each is named too: x_train and y_train, or train_images and train_labels. What becomes of
pixels that are no bytes is said in `array_images`. A .npz file is read into memory, .npy are not.

Letters: N = images, H, W = pixels, C = channels, F = features.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from trainables.data.dataset import DataError
from trainables.data.importing.array_images import from_arrays, role_of
from trainables.data.importing.forms import Options
from trainables.data.importing.listing import Listing

GENERAL = True
MAX_ARRAY_BYTES = 8 * 2**30


def fits(source: Path, options: Options) -> bool:  # noqa: ARG001
    """Whether the source is a .npz file, or a folder with arrays of images and labels."""
    if source.suffix == ".npz":
        return source.is_file()
    roles = {role_of(path.stem)[0] for path in source.glob("*.npy")}
    return {"images", "labels"} <= roles


def listing(source: Path, options: Options) -> Listing:
    """The images of the arrays in a file or folder. DataError for arrays that do not fit."""
    try:
        if source.is_dir():
            files = sorted(source.glob("*.npy"))
            arrays = {path.stem: np.load(path, mmap_mode="r") for path in files}
            return from_arrays(arrays, options.classes, bits=options.bits)
        _check_size(source)
        with np.load(source) as archive:
            return from_arrays(archive, options.classes, bits=options.bits)
    except DataError as error:
        raise DataError([f"{source}: {problem}" for problem in error.mistakes]) from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError([f"{source}: not readable ({error}); save it again by numpy"]) from error


def _check_size(source: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            if member.file_size > MAX_ARRAY_BYTES:
                said = f"{member.filename} would take {member.file_size / 1e9:,.1f} GB of memory"
                raise DataError([f"{said}; save it by np.save into a folder of .npy files"])
