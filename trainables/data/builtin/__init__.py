"""Data sets that come with the package, one per file: a docstring and `make(directory, progress)`.

The file name is the name of the data set; adding one edits nothing else.
"""
