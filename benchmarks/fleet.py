"""The fleets that are measured: their nodes, and the file that describes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_LAYERS = """\
version: 1
defaults:
  settings:
    botstopper_ai_policy: aggressive
    firewall_block_ftp_enabled: false
    managed_vhosts_enabled: true
    mysql_tmp_on_data_enabled: false
    php_legacy_serialize_precision_enabled: true
groups:
  magento:
    settings:
      datadog_enabled: false
      elasticsearch_version: 7.x
      magerun2_version: latest
      php_amqp_enabled: false
      redis_eviction_policy: volatile-lru
      varnish_esi_ignore_https: true
      varnish_version: 7.x
  shopware:
    settings:
      enable_ioncube: false
      mailhog_enabled: false
      opensearch_auto_create_index: true
      redis_persistent_eviction_policy: allkeys-lru
  staging:
    settings: { password_auth: true, php_xdebug_enabled: false, tideways_enabled: false }
  moving:
    settings: { php_opentelemetry_enabled: true, mailhog_enabled: true }
nodes:
"""
"""What a sandbox's nodes have from the start, but for the group `moving`."""

MOVED = {"php_opentelemetry_enabled": True, "mailhog_enabled": True}
"""What the nodes of that group are to have."""


def write_file(path: Path, names: Sequence[str], *, moving_every: int = 25, own_every: int | None = None) -> None:
    """Write a fleet file of four groups about the nodes `names`.

    Args:
        path: Where to.
        names: The nodes.
        moving_every: Every node of this many is in the group `moving` and so differs from a fresh sandbox.
        own_every: Every node of this many has three settings of its own; None: no node.
    """
    lines = []
    for index, name in enumerate(names):
        groups = ["shopware" if index % 3 else "magento"]
        if index % 10 == 3:
            groups.append("staging")
        if index % moving_every == 0:
            groups.append("moving")
        own = ""
        if own_every and index % own_every == 0:
            own = f", settings: {{ php_version: 8.{index % 5 + 1}, password_auth: no, tideways_sample_rate: {index} }}"
        lines.append(f"  {name}: {{ groups: [{', '.join(groups)}]{own} }}\n")
    path.write_text(_LAYERS + "".join(lines) + "limits: { max_nodes: 30% }\n", "utf-8")
