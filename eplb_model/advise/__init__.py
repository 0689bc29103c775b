"""The safe configuration: what a user knows goes in, what the model says about it comes out."""

from eplb_model.advise.answer import Advice, advise, largest_safe_cap
from eplb_model.advise.judging import Checks, Judged
from eplb_model.advise.question import COMMUNICATORS, Question

__all__ = ["COMMUNICATORS", "Advice", "Checks", "Judged", "Question", "advise", "largest_safe_cap"]
