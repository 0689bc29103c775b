"""EPLB as vLLM runs it, the version a parameter: what its processes decide and do."""
