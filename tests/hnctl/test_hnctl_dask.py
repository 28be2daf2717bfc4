"""--executor: a run over a Dask cluster ends as one on threads does, also when a worker is killed in the middle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from dask_run import change_all, cluster, tokens_of, variables_for
from distributed import LocalCluster, Security
from runs import Hnctl, writes

from hypernode.sandbox.server import Sandbox

NODES = 40


def test_a_run_in_which_a_worker_is_killed_ends_as_one_on_threads(tmp_path: Path):
    with Sandbox(nodes=NODES, flow_time=0.3, latency=0.02) as box:
        here = {**variables_for(box), "HNCTL_PARALLEL": "20"}
        threads = change_all(box, tmp_path / "threads", {**here, **tokens_of(box)})
        with cluster(4, tokens_of(box)) as started:
            options = ("--executor", started.scheduler_address.replace("tcp", "dask"))
            # hnctl has no tokens itself: the workers find them.
            over_dask = change_all(box, tmp_path / "dask", here, *options, victim=started.workers[0], after=NODES // 3)
    assert (over_dask.status, over_dask.wrong) == (0, ()), over_dask.said
    assert over_dask.states == threads.states == dict.fromkeys(box.names, "done")
    assert over_dask.changed == threads.changed == dict.fromkeys(box.names, 1)
    assert over_dask.records == threads.records


@pytest.fixture
def tls(box: Sandbox) -> Iterator[str]:
    """A cluster on TLS in this process, whose certificates Dask's own configuration names; returns its address."""
    made = Security.temporary()
    names = {
        "distributed.comm.tls.ca-file": made.tls_ca_file,
        "distributed.comm.tls.client.cert": made.tls_client_cert,
        "distributed.comm.tls.client.key": made.tls_client_key,
    }
    with (
        LocalCluster(
            n_workers=1,
            processes=False,
            protocol="tls://",
            security=made,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as started,
        dask.config.set(names),
    ):
        yield started.scheduler_address.replace("tls://", "dask+tls://")


def test_tokens_and_secret_values_travel_over_tls(
    hnctl: Hnctl, box: Sandbox, tls: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NR_KEY", "canary-of-new-relic")
    options = ("--executor", tls, "--send-tokens", "--yes", "-n", box.names[0])
    ran = hnctl("settings", "set", "new_relic_secret", "env:NR_KEY", *options)
    assert ran.status == 0, ran.err
    assert box.settings(box.names[0])["new_relic_secret"] == "canary-of-new-relic"
    assert "canary" not in ran.out + ran.err


def test_tokens_are_not_sent_without_tls(hnctl: Hnctl, box: Sandbox):
    ran = hnctl(
        "settings", "set", "php_version", "8.0", "-n", box.names[0], "--yes", "--send-tokens",
        "--executor", "dask://127.0.0.1:1",
    )  # fmt: skip
    assert ran.status == 5
    assert "tokens are sent to a Dask cluster over TLS only" in ran.err
    assert box.log() == []


def test_tokens_need_a_cluster_to_be_sent_to(hnctl: Hnctl, box: Sandbox):
    ran = hnctl("settings", "set", "php_version", "8.0", "-n", box.names[0], "--yes", "--send-tokens")
    assert ran.status == 64
    assert "--send-tokens goes with --executor dask+tls://HOST:PORT" in ran.err
    assert box.log() == []


@pytest.mark.parametrize("address", ["threads", "dask://", "dask://scheduler", "dask://scheduler:0", "tcp:/a:1"])
def test_what_names_no_cluster_is_a_usage_error(hnctl: Hnctl, box: Sandbox, address: str):
    ran = hnctl("settings", "set", "php_version", "8.0", "-n", box.names[0], "--yes", "--executor", address)
    assert ran.status == 64
    assert "dask://HOST:PORT" in ran.err


def test_a_cluster_that_is_not_there_is_named_and_nothing_is_changed(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hypernode.fleet.dask_stores.CONNECT_TIMEOUT", 0.3)
    ran = hnctl(
        "settings", "set", "php_version", "8.0", "-n", box.names[0], "--yes", "--executor", "dask://127.0.0.1:1"
    )
    assert ran.status == 1
    assert "the Dask cluster at tcp://127.0.0.1:1 cannot be used" in ran.err
    assert writes(box) == []


def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    hnctl: Hnctl, box: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "distributed", None)
    ran = hnctl("settings", "set", "php_version", "8.0", "-n", box.names[0], "--yes", "--executor", "dask://h:1")
    assert ran.status == 64
    assert "hnctl was installed without dask (distributed missing)" in ran.err
    assert "pip install 'hnctl[dask]'" in ran.err
