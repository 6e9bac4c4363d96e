"""One process for each kind of step: prepare | train | merge | generate | score | perplexity.

Each is a command of its own, ``python -m safetax.workers.KIND DIR..``, and knows nothing of the others or of the plan.
"""
