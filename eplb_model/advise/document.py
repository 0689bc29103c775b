"""An advice as JSON, `eplb-advice/1`, and as a person reads it."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from typing import Any

from eplb_model.advise.answer import Advice, CapAnswer, Setting
from eplb_model.advise.judging import NCCL_VECTOR, Judged
from eplb_model.advise.question import Point, Question
from eplb_model.protocols.environment import MOST_CTAS

SCHEMA = "eplb-advice/1"
WIDTH = 100
MOST_LISTED = 4  # token counts; more are shown as a range


def advice_document(advice: Advice) -> dict[str, Any]:
    """Everything that was asked and answered."""
    question = advice.question
    return {
        "schema": SCHEMA,
        "safe": advice.safe,
        "verdict": advice.verdict,
        "why": why(advice),
        "question": _question(question),
        "cap_in_force": question.cap if question.cap < MOST_CTAS else None,
        "ranks_checked": question.check_ranks,
        "points": sum(1 for _ in question.points()),
        "unsafe_points": advice.asked.unsafe_points,
        "first_unsafe": _first(advice.asked.first_unsafe),
        "first_uneven": _pair(advice.asked.first_uneven),
        "cases": [{**_case(each), "tokens": _tokens(each)} for each in advice.asked.judged],
        "largest_safe_max_ctas": advice.largest_safe,
        "caps": [_cap(each) for each in advice.caps],
        "cluster_size": {
            "changes": advice.cluster_size_matters,
            "sizes": [
                {
                    "nccl_cga_cluster_size": each.cluster_size,
                    "largest_safe_max_ctas": each.largest_safe,
                    **_setting(each),
                }
                for each in advice.sizes
            ],
        },
        "alternatives": [
            {
                "name": each.name,
                "vector": each.vector,
                "verdict": each.verdict,
                "safe": each.verdict == "ok",
            }
            for each in advice.alternatives
        ],
        "check": check_command(advice),
        "assumptions": list(advice.assumptions),
    }


def why(advice: Advice) -> str:
    """The reason in one or two sentences: of the first point that is not safe, or of all."""
    found = advice.asked.first_unsafe
    uneven = advice.asked.first_uneven
    if uneven is not None:
        kernels = _kernels_text(advice.question, uneven)
        return f"where ranks differ, {_pair_text(uneven)}, {kernels}: {_ending(uneven)}"
    if found is None:
        count = len(advice.asked.judged)
        cases = "the one case" if count == 1 else f"all {count} distinct cases"
        return f"every schedule of {cases} ends well"
    point, judged = found
    return f"at {_point_text(point)} {_kernels_text(advice.question, judged)}: {_ending(judged)}"


def check_command(advice: Advice) -> str | None:
    """The command that shows the first unsafe point as a whole report."""
    found, question = advice.asked.first_unsafe, advice.question
    if found is None or not question.over_nccl:
        return None
    point, judged = found
    words = ["eplb-model", "check", NCCL_VECTOR, "--machine", question.machine]
    settings = dict(question.settings(point, question.cap, question.cluster_size))
    del settings["machine"]
    order = judged.report.parameters.get("order")
    for name, value in {"ranks": question.ranks, **settings, "order": order}.items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def advice_text(advice: Advice) -> str:
    """The advice for a terminal."""
    question = advice.question
    blocks = [_head(advice), textwrap.fill(f"Why: {why(advice)}.", WIDTH, subsequent_indent="  ")]
    if question.over_nccl:
        blocks.append("NCCL_MAX_CTAS:\n" + "\n".join(_cap_lines(advice)))
        blocks.append("\n".join(_size_lines(advice)))
    rows = (f"  {each.name:<12}  {each.verdict}" for each in advice.alternatives)
    blocks.append("Instead, for the same kernels:\n" + "\n".join(rows))
    command = check_command(advice)
    if command is not None:
        blocks.append(f"See it:\n  {command}")
    blocks.append("Rests on:\n" + "\n".join(f"  {each}" for each in advice.assumptions))
    return "\n\n".join(blocks)


def _question(question: Question) -> dict[str, Any]:
    return {
        "machine": question.machine,
        "ranks": question.ranks,
        "experts": question.experts,
        "tokens": {
            "least": min(question.tokens),
            "most": max(question.tokens),
            "count": len(question.tokens),
        },
        "bytes_per_op": question.bytes_per_op,
        "communicator": question.communicator,
        "phases": list(question.phases),
        "peers": question.peers,
        "nccl_max_ctas": question.nccl_env,
        "override": question.override,
        "nccl_cga_cluster_size": question.cluster_size,
        "uneven_tokens": question.uneven,
    }


def _setting(setting: Setting) -> dict[str, Any]:
    kernels = setting.judged[0].case.kernels
    return {
        "nccl_ctas": kernels.nccl_ctas,
        "nccl_cluster": kernels.nccl_cluster,
        "safe": setting.safe,
        "verdict": setting.verdict,
        "unsafe_points": setting.unsafe_points,
        "first_unsafe": _first(setting.first_unsafe),
        "first_uneven": _pair(setting.first_uneven),
    }


def _cap(cap: CapAnswer) -> dict[str, Any]:
    return {"nccl_max_ctas": {"least": cap.least, "most": cap.most}, **_setting(cap)}


def _first(found: tuple[Point, Judged] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    point, judged = found
    return {"tokens": point.tokens, "phase": point.phase, **_case(judged)}


def _pair(judged: Judged | None) -> dict[str, Any] | None:
    """Two ranks whose token counts differ."""
    if judged is None or judged.case.other is None:
        return None
    kernels = judged.case.kernels
    return {
        "tokens": judged.case.first.tokens,
        "other_tokens": judged.case.other.tokens,
        "other_ctas": kernels.other_ctas,
        "other_cluster": kernels.other_cluster,
        **_case(judged),
    }


def _case(judged: Judged) -> dict[str, Any]:
    kernels, report = judged.case.kernels, judged.report
    circle = report.finding.circle if report.finding else ()
    return {
        "coop_ctas": kernels.coop_ctas,
        "coop_cluster": kernels.coop_cluster,
        "nccl_ctas": kernels.nccl_ctas,
        "nccl_cluster": kernels.nccl_cluster,
        "points": len(judged.case.points),
        "verdict": report.verdict,
        "order": report.parameters["order"],
        "serialised": report.serialised,
        "circle": [str(actor) for actor in circle],
        "cut": report.bounds["cut"],
    }


def _tokens(judged: Judged) -> dict[str, list[list[int]]]:
    """By phase, the token counts of a case, as ranges."""
    found: dict[str, list[list[int]]] = {}
    for tokens, phase in judged.case.points:
        ranges = found.setdefault(phase, [])
        if ranges and ranges[-1][1] == tokens - 1:
            ranges[-1][1] = tokens
        else:
            ranges.append([tokens, tokens])
    return found


def _head(advice: Advice) -> str:
    question = advice.question
    asked = sum(1 for _ in question.points())
    answer = "safe" if advice.safe else f"not safe ({advice.verdict})"
    unsafe = advice.asked.unsafe_points
    counted = f", {unsafe} of {asked} points" if unsafe else ""
    given = (
        f"  machine={question.machine} ranks={question.ranks} experts={question.experts} "
        f"tokens={_tokens_text(question)} bytes_per_op={question.bytes_per_op} "
        f"communicator={question.communicator} NCCL_MAX_CTAS={question.nccl_env or 'unset'} "
        f"override={str(question.override).lower()} "
        f"NCCL_CGA_CLUSTER_SIZE={question.cluster_size}"
    )
    lines = [f"{answer}{counted}", *textwrap.wrap(given, WIDTH, subsequent_indent="  ")]
    count = len(advice.asked.judged)
    cases = "1 distinct case" if count == 1 else f"{count} distinct cases"
    lines.append(f"  {cases}, checked on {question.check_ranks} ranks")
    return "\n".join(lines)


def _cap_lines(advice: Advice) -> Iterator[str]:
    for each in advice.caps:
        caps = f"{each.most}" if each.most == each.least else f"{each.least}..{each.most}"
        yield f"  {caps:<6}  n={_grid(each):<5}  {_said(each)}"
    best = advice.largest_safe
    if best is None:
        yield "  No cap makes every point safe."
    elif best == MOST_CTAS:
        yield "  No cap is needed."
    else:
        yield f"  The largest safe one is {best}."


def _grid(setting: Setting) -> str:
    kernels = setting.judged[0].case.kernels
    return f"{kernels.nccl_ctas}/{kernels.nccl_cluster}"


def _said(setting: Setting) -> str:
    if setting.safe:
        return "safe"
    point = setting.first_unsafe_point
    if point is None:
        uneven = setting.first_uneven
        assert uneven is not None
        return f"{setting.verdict} where ranks differ, {_pair_text(uneven)}"
    count = setting.unsafe_points
    points = "1 point" if count == 1 else f"{count} points"
    return f"{setting.verdict}, {points}, first {_point_text(point)}"


def _size_lines(advice: Advice) -> Iterator[str]:
    changes = "changes that" if advice.cluster_size_matters else "changes nothing"
    yield f"NCCL_CGA_CLUSTER_SIZE {changes}, at the cap in force:"
    for each in advice.sizes:
        yield f"  {each.cluster_size}  n={_grid(each):<5}  {_said(each)}"


def _point_text(point: Point) -> str:
    return f"tokens={point.tokens} {point.phase}"


def _pair_text(judged: Judged) -> str:
    case = judged.case
    assert case.other is not None
    return f"tokens={case.first.tokens} on one and {case.other.tokens} on another"


def _tokens_text(question: Question) -> str:
    tokens = question.tokens
    if len(tokens) <= MOST_LISTED:
        return ",".join(map(str, tokens))
    return f"{min(tokens)}..{max(tokens)}"


def _kernels_text(question: Question, judged: Judged) -> str:
    kernels = judged.case.kernels
    gang = f"the kernel needs {kernels.coop_ctas} of {question.device.sms} SMs at once"
    gang += _clusters(kernels.coop_cluster)
    if kernels.other_ctas:
        gang += f" (there {kernels.other_ctas}{_clusters(kernels.other_cluster)})"
    if not kernels.nccl_ctas:
        return gang
    return f"{gang}, and the exchange has {kernels.nccl_ctas} CTAs{_clusters(kernels.nccl_cluster)}"


def _clusters(size: int) -> str:
    return f" in clusters of {size}" if size > 1 else ""


def _ending(judged: Judged) -> str:
    report = judged.report
    match report.verdict:
        case "may":
            settings = ", ".join(f"{k}: {v}" for k, v in report.switches.items() if "=" in k)
            return f"it depends on what nobody measured ({settings})"
        case "unknown":
            return f"the search ended early ({report.bounds['cut']})"
        case verdict:
            circle = report.finding.circle if report.finding else ()
            return f"{verdict}, {' -> '.join(map(str, circle))}"
