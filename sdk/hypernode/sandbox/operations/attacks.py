"""Ready-made blocks against attacks (CONTRACT.md 2.2). The descriptions are ours."""

from __future__ import annotations

from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Reader
from hypernode.sandbox.calls import Call, Done

_COUNTRIES = ("Ukraine", "Russia", "China", "Hongkong", "Philippines")
_BOTS = ("Ahrefs", "Semrush", "Grapeshot", "MJ12", "Dot", "Roger")
ATTACKS = {
    "BlockSqliBruteForce": "Places nginx rules that block requests which look like SQL injection",
    **{f"Block{where}BruteForce": f"Places nginx rules that block logins from {where}" for where in _COUNTRIES},
    **{f"Block{whose}Bot": f"Places nginx rules that block the crawler {whose}Bot" for whose in _BOTS},
    "BlockPageSpeedBruteForce": "Places nginx rules that block requests for PageSpeed in great number",
    "BlockDownloaderBruteForce": "Places nginx rules that block guessing at the Magento downloader",
    "BlockRSSBruteForce": "Places nginx rules that block guessing at Magento's RSS feeds",
}


def list_attacks(call: Call) -> Answer:
    """Answer GET ``/v2/app/block_attack_descriptions/``."""
    return answers.json_answer(ATTACKS)


def block_attack(call: Call) -> Done:
    """Answer POST ``/v2/app/{app}/block_attack/``."""
    reader = Reader(call.fields)
    reader.choice("attack_name", ATTACKS)
    if reader.problems:
        return Done(answers.json_answer(reader.problems, 400))
    _, overlap = call.stage.world.post(call.node, "block_attack", call.fault)
    return Done(answers.ACCEPTED, changed=True, overlap=overlap)
