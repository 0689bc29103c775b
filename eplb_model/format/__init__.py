"""The files people write and read: `eplb-vector/1`, `eplb-machine/1` and their schemas."""
