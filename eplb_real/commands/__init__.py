"""One file per command of `eplb-real`, as `eplb_model/command_line.py` wants them."""
