"""From examples to a checkpoint: SFT, objectives, adapters, ZeRO, resume, cost, perplexity."""
