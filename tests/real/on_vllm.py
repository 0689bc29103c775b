"""What ranks do with vLLM's own classes; every function runs on all ranks of a pool at once.

A pool has one version: the first call decides.
"""

import os
from pathlib import Path

import torch

from eplb_real.vllm.accelerator import Accelerator
from eplb_real.vllm.events import event_class
from eplb_real.vllm.recorder import Recorder
from eplb_real.vllm.stubs import load
from tests.real.fakes import FakeNccl
from tests.real.on_rank import STALE, coordinator, error_of, tagged, tags_of

CLASSES = {
    "torch_gloo": "TorchDistGlooStagedEplbCommunicator",
    "torch_nccl": "TorchDistNcclEplbCommunicator",
}


def modules(context, version):
    """The communicators and the exchange of a version, on an accelerator that isn't there."""
    found = [
        load(version, name) for name in ("eplb_utils", "eplb_communicator", "rebalance_execute")
    ]
    accelerator = Accelerator(Recorder(Path(os.devnull), context.rank))
    for module in found:
        module.torch = accelerator.torch()
    return found[1:]


def row(version, tensor):
    """A row as the version's add_send and add_recv take it, and what follows the peer."""
    return (tensor, ()) if version == "0.20.0" else ([tensor], (0,))


def where(context, version):
    """The files that the code of the stepped event comes from, without the cache's own place."""
    made = event_class(version)(event_factory=object)
    files = [method.__func__.__code__.co_filename for method in (made.record, made.wait)]
    return ["/".join(Path(each).parts[-5:]) for each in files]


def second_version(context, version, other):
    load(version, "eplb_utils")
    return error_of(load, other, "eplb_utils")


def swap(context, version, members, backend):
    """Pairs of group ranks send each other their rank; the errors of adding and executing, and
    what arrived."""
    group = context.group(members)
    if context.rank not in members:
        return None
    communicators, _ = modules(context, version)
    made = getattr(communicators, CLASSES[backend])(group)
    rank = members.index(context.rank)
    arrived = torch.full((3,), -1.0)

    def added():
        for call, tensor in (
            (made.add_send, torch.full((3,), float(rank))),
            (made.add_recv, arrived),
        ):
            what, rest = row(version, tensor)
            call(what, rank ^ 1, *rest)

    return error_of(added), error_of(made.execute), int(arrived[0])


def exchange(context, version, members, backend, old, new, tags, dtypes):
    """One layer from tags by group rank, with vLLM's factory, plan and commit; the tags after."""
    group = context.group(members)
    if context.rank not in members:
        return None
    communicators, exchanges = modules(context, version)
    rank = members.index(context.rank)
    weights = tagged(tags[rank], dtypes)
    buffer = tagged([STALE + at for at in range(len(tags[0]))], dtypes)
    given = (weights,) if version == "0.20.0" else ([weights], buffer)
    made = communicators.create_eplb_communicator(coordinator(group), backend, *given)
    metadata = exchanges.transfer_layer(
        old_layer_indices=torch.tensor(old),
        new_layer_indices=torch.tensor(new),
        expert_weights=weights,
        expert_weights_buffer=buffer,
        ep_group=group,
        communicator=made,
    )
    exchanges.move_from_buffer(
        expert_weights=weights,
        expert_weights_buffers=buffer,
        transfer_metadata=metadata,
        new_indices=torch.tensor(new).numpy(),
        ep_rank=rank,
    )
    return tags_of(weights)


def pynccl(context, version, fail_at):
    """A batch of two rows, then another of one, on an NCCL that fails once where told."""
    communicators, _ = modules(context, version)
    nccl = FakeNccl(fail_at)
    made = communicators.PyNcclEplbCommunicator(nccl, "side")
    what, rest = row(version, torch.full((2,), 1.0))

    def batch(*calls):
        for name, *peer in calls:
            getattr(made, name)(*((what, *peer, *rest) if peer else ()))

    errors = [error_of(batch, ("add_send", 1), ("add_recv", 2), ("execute",))]
    nccl.fail_at = None
    errors.append(error_of(batch, ("add_send", 3), ("execute",)))
    return [error and error[1] for error in errors], [call[0] for call in nccl.calls], nccl.depth
