"""What happens before what in one run, and the accesses that nothing orders."""

from eplb_model.happens_before.access import Access
from eplb_model.happens_before.history import accesses, clocks
from eplb_model.happens_before.race import Race, Seen, races

__all__ = ["Access", "Race", "Seen", "accesses", "clocks", "races"]
