"""Reads sweeps from MLflow and writes reports; owns the contract with MLflow."""

import os

# the import of MLflow alone would report usage, and every module that imports it comes after this
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
