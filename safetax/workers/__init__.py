"""Workers: each reads frozen step folders, does their work and finishes them with a manifest.

A worker knows nothing of Hydra, of the plan or of other workers, and can be run again by hand:
``python -m safetax.workers.train outputs/train/FINGERPRINT``.
"""
