"""A scenario as a Promela model: an account of the rules that shares no guard and no effect."""

from eplb_model.export.promela.layout import Layout
from eplb_model.export.promela.model import Exported, promela

__all__ = ["Exported", "Layout", "promela"]
