"""Decides what is tried: spaces to trials, trials to lanes, results to a study and to MLflow."""

from search.simulation import simulate

__all__ = ["simulate"]
__version__ = "0.1.0"  # the one place of it: the distribution reads it here
