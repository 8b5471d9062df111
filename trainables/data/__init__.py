"""Labelled images for training: found by name or path, opened, checked, decoded once per node.

Importing it loads neither torch nor Ray, and nothing heavy until it is needed.
"""

from trainables.data.cache import decoded
from trainables.data.catalogue import UnknownDatasetError, check, locate, names, outlined
from trainables.data.dataset import SPLITS, DataError, Dataset, Symmetries
from trainables.data.describe import describe
from trainables.data.folder import open_dataset, verify

__all__ = [
    "SPLITS",
    "DataError",
    "Dataset",
    "Symmetries",
    "UnknownDatasetError",
    "check",
    "decoded",
    "describe",
    "locate",
    "names",
    "open_dataset",
    "outlined",
    "verify",
]
