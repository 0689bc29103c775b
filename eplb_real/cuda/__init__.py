"""The programs of a scenario on real GPUs: one rank, one process, one GPU.

Streams, events, launches, copies and every call that waits are CUDA's; kernels are stand-ins that
meet their peers through words in memory that all GPUs see.  What is seen of the device comes from
those words too.
"""
