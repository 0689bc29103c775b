"""The searches: exhaustive, sampling, and the reductions they may use."""
