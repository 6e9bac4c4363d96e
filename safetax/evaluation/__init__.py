"""From a checkpoint to verdicts: engines, judges, graders, guard models, LLM client."""
