"""Judges and graders of responses.

Each module has a ``Config`` and ``judge(config, examples, responses, context)``, which returns a verdict for each
response.
"""
