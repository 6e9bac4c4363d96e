"""lm-eval's tasks: their definitions, their prompts, and the sets that ours are made of."""
