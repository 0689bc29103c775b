"""For every number of ranks: hypotheses, cut-off, certificate, checker.  specs/all_ranks.md"""
