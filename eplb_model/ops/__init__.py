"""The vocabulary: one class per operation, registered where it is defined.  specs/semantics.md"""

from eplb_model.ops.vocabulary import OPERATIONS, STREAM_OPERATIONS

__all__ = ["OPERATIONS", "STREAM_OPERATIONS"]
