"""How often the intervals hold the truth, by simulation: ``python -m bench.coverage``."""
