"""Reads finished and running sweeps from MLflow and writes reports."""
