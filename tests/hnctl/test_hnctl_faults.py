"""A rollout over a bad line: every fault the sandbox knows, all at once, and still nothing is written blindly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fleets import fleet_file, wished
from runs import Hnctl, point_to

from hypernode.sandbox.faults import Fault
from hypernode.sandbox.server import Sandbox


def blind_writes(log: Sequence[Any]) -> list[Any]:
    """Return the writes to a node that came after another one without a read of it in between."""
    blind = []
    last: dict[str, str] = {}
    for entry in log:
        if entry.method == "PATCH" and last.get(entry.node) == "PATCH":
            blind.append(entry)
        last[entry.node] = entry.method
    return blind


FAULTS = {"any": "20%", "lost_answer": "10%", "no_location": "10%", "unknown_state": "10%"}
"""A fifth of all requests by any fault; those that only writes can have more often, for there are few writes."""


def test_with_a_fifth_of_all_requests_going_wrong_every_node_ends_as_wished(
    hnctl: Hnctl, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    with Sandbox(nodes=50, flow_time=0.3, faults=FAULTS, retry_after=0) as box:
        point_to(box, monkeypatch)
        monkeypatch.setenv("HNCTL_TIMEOUT", "500ms")
        (folder / "fleet.yaml").write_text(fleet_file(box.names))
        run = hnctl("apply", "--yes", "--parallel", "16", "-o", "json")
        assert run.status == 0, run.err
        assert run.json["totals"]["failed"] == run.json["totals"]["unknown"] == 0

        log = box.log()
        assert blind_writes(log) == []
        assert not any(entry.overlap and entry.changed for entry in log)
        struck = {entry.fault for entry in log}
        survivable = {fault.value for fault in Fault} - {"revert", "reject", "api_use_off", "redirect"}
        assert survivable <= struck, "every kind of fault took part"
        changed = [entry.node for entry in log if entry.changed]
        assert len(changed) == len(set(changed)), "no change was made twice"
        for node, wishes in wished(box.names).items():
            assert {name: box.settings(node)[name] for name in wishes} == wishes


@pytest.mark.parametrize("fault", ["lost_answer", "no_location", "unknown_state"])
def test_a_write_whose_answer_tells_nothing_is_made_once_and_followed_all_the_same(
    fault: str, hnctl: Hnctl, box: Sandbox
):
    box.set("kaasshop", permissive_memory_management=False)
    box.set_faults({fault: ["kaasshop"]})
    done = hnctl("settings", "set", "permissive_memory_management", "true", "-n", "kaasshop")
    assert done.status == 0, done.err
    assert box.settings("kaasshop")["permissive_memory_management"] is True
    assert [entry.fault for entry in box.log() if entry.method == "PATCH"] == [fault]
