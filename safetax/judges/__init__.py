"""Judges of responses. Each module has a ``Config`` and ``judge(config, examples, responses)``."""
