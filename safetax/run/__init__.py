"""Brings a plan to completion, here or on Slurm; shows progress; finishes with the report."""
