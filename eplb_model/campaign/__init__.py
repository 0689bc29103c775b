"""Many checks: sweeps, the catalogue and random exploration as shards over executors."""

from eplb_model.campaign.executors import EXECUTORS, Workers
from eplb_model.campaign.journal import Journal
from eplb_model.campaign.run import Campaign, Failed, run_campaign
from eplb_model.campaign.task import Line, Task, perform
from eplb_model.campaign.tasks import catalogue_tasks, random_tasks, shard_seed

__all__ = [
    "EXECUTORS",
    "Campaign",
    "Failed",
    "Journal",
    "Line",
    "Task",
    "Workers",
    "catalogue_tasks",
    "perform",
    "random_tasks",
    "run_campaign",
    "shard_seed",
]
