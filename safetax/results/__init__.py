"""From manifests to results.json: scores, intervals, curves, comparisons; writes nothing for a person."""
