"""`hnctl settings`: one setting on one node, and on many."""

from __future__ import annotations

from runs import Hnctl, writes

from hypernode.sandbox.server import Sandbox


def test_a_setting_is_changed_once_and_waited_for(hnctl: Hnctl, box: Sandbox):
    box.set("kaasshop", permissive_memory_management=False)
    first = hnctl("settings", "set", "permissive_memory_management", "true", "-n", "kaasshop")
    assert first.status == 0, first.err
    assert box.settings("kaasshop")["permissive_memory_management"] is True
    assert [entry.changed for entry in writes(box)] == [True]

    again = hnctl("settings", "set", "permissive_memory_management", "true", "-n", "kaasshop")
    assert again.status == 0
    assert len(writes(box)) == 1

    got = hnctl("settings", "get", "permissive_memory_management", "-n", "kaasshop")
    assert (got.status, got.out) == (0, "true\n")
