"""Weights: load, start at random, save, verify, interpolate; the GPUs they fit on."""
