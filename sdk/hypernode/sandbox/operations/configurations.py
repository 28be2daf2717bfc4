"""What a new node can start with (CONTRACT.md 2.4 #32, 2.8). The settings of each are made up."""

from __future__ import annotations

from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.calls import Call
from hypernode.sandbox.operations.queries import check_pages

CONFIGURATIONS: dict[str, dict[str, object]] = {
    "magento_2": {
        "name": "Magento 2",
        "allow_preinstall": True,
        "php_version": "8.3",
        "mysql_version": "8.0",
        "composer_version": "2.x",
        "elasticsearch_enabled": False,
        "opensearch_enabled": True,
        "opensearch_version": "2.12",
    },
    "akeneo_6_0": {
        "name": "Akeneo 6.0",
        "allow_preinstall": True,
        "php_version": "8.0",
        "mysql_version": "8.0",
        "composer_version": "2.x",
        "elasticsearch_enabled": True,
        "elasticsearch_version": "7.x",
    },
}
"""By ``configuration_id``; these two are the attested ones."""


def list_configurations(call: Call) -> Answer:
    """Answer GET ``/v2/configuration/``."""
    if problems := check_pages(call.query):
        return answers.json_answer(problems, 400)
    listed = [{"configuration_id": id_, **said} for id_, said in CONFIGURATIONS.items()]
    return answers.page(listed, url=f"{call.stage.links.next_base}/v2/configuration/", query=call.query)
