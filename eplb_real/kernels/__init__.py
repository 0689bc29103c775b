"""CUDA source of the kernels that stand in for others, compiled at run time."""
