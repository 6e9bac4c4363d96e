"""From sources to examples: datasets, row sources, the lab's world, lm-eval prompts, chat format, hub revisions."""
