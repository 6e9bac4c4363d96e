"""Tracking: a run's entry in MLflow, written from results and manifests."""
