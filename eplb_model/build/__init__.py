"""Protocols of your own in Python: the same vectors as JSON, with types and with `with`.

A `Thread` has a method for each operation of the vocabulary (`eplb_model.build.operations`).

>>> build = Build("my protocol", machine="h200", ranks=2)
>>> moe = build.kernel("moe", ctas=132, cooperative=True, meets="all")
>>> with build.every_rank() as rank, rank.thread("main") as t:
...     t.launch(moe, "compute")
...     t.stream_synchronize("compute")
>>> build.scenario().name
'my_protocol'
"""

from eplb_model.build.places import BuildError
from eplb_model.build.protocol import Build, Role
from eplb_model.build.thread import Thread
from eplb_model.build.words import Comparison, Parameter, Var

__all__ = ["Build", "BuildError", "Comparison", "Parameter", "Role", "Thread", "Var"]
