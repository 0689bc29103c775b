"""Real GPUs: stand-in kernels, rank processes that launch them, points, probes and the hang."""
