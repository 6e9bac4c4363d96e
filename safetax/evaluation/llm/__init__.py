"""A language model behind an endpoint: its client and its replies."""
