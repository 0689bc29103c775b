"""vLLM's own EPLB classes as a thing to run: found, loaded beside stubs, driven and observed."""
