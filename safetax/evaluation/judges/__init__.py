"""Judges and graders of responses.

Each module has a ``Config`` and ``judge(config, examples, responses, context)``, which returns a verdict for each
response; one that reads case by case goes through :func:`safetax.evaluation.judging.cases.judge_cases`.
``needs(config)`` (optional) says what it needs to run: :mod:`safetax.config.needs`.
"""
