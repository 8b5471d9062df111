"""Labelled images in whatever form people have them, made into a data set."""
