"""Hydra plug-ins of safetax: a launcher that runs a sweep as one graph, and a sweeper that composes each job once."""
