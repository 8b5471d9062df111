"""Data sets that come with the package, one per file.

Each has a docstring, `make(directory, progress)`, and what is known before it is made: `CLASSES`,
in `SIZES` the images of each split, and their size.

The file name is the name of the data set; adding one edits nothing else.
"""
