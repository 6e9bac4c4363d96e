"""Data recipes and prompt sets. Each module has a ``Config`` and ``build(config, inputs)``, which returns examples.

A module with ``ON_POLICY = True`` builds from the outputs of earlier steps, found in ``inputs`` by name.
"""
