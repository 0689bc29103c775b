"""A model of ranks, host threads, streams, SMs and the two-thread event, and its explorer."""
