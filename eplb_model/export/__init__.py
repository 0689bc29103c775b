"""A scenario in the language of other tools."""

from eplb_model.export.cannot import CannotExport

__all__ = ["CannotExport"]
