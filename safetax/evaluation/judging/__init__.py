"""What judges share: verdicts, judge models, guard models, refusals."""
