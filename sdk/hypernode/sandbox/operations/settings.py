"""Settings: what they take, and changing them (CONTRACT.md 2.1, 3)."""

from __future__ import annotations

from functools import cache

from hypernode.catalogue import Catalogue
from hypernode.sandbox import answers
from hypernode.sandbox.answers import Answer
from hypernode.sandbox.bodies import Fields, Refusal
from hypernode.sandbox.calls import Call, Done
from hypernode.sandbox.faults import Fault
from hypernode.sandbox.settings import judge


def change_settings(call: Call) -> Done:
    """Answer PATCH ``/v2/app/{app}/``; all of the settings or none of them is applied."""
    stage = call.stage
    settings = judge(call.fields)
    names = () if isinstance(settings, Refusal) else tuple(settings)
    if not call.node.settings["allow_api_token_usage"]:
        return Done(answers.API_USE_OFF, settings=names)
    if isinstance(settings, Refusal):
        return Done(answers.json_answer(settings.problems, settings.status))
    posted = stage.world.write(call.node, settings, call.fault)
    if posted.job is None:
        return Done(answers.EMPTY, settings=names, overlap=posted.overlap)
    accepted = answers.ACCEPTED
    if call.fault is not Fault.NO_LOCATION:
        url = f"{stage.links.location_base}/logbook/v1/jobs/{posted.job.tracker}/"
        accepted = accepted.with_header("location", url)
    return Done(accepted, changed=True, settings=names, overlap=posted.overlap)


def names_in(fields: Fields) -> tuple[str, ...]:
    """Return the names of the settings in a valid change."""
    settings = judge(fields)
    return () if isinstance(settings, Refusal) else tuple(settings)


def list_setting_values(call: Call) -> Answer:
    """Answer GET ``/v2/app/eav_descriptions/``."""
    return _describe()


@cache
def _describe() -> Answer:
    """Return the values of all settings; free settings come in all three forms of CONTRACT.md 2.8."""
    described: dict[str, object] = {}
    for setting in Catalogue.bundled().values():
        if setting.values is not None:
            described[setting.name] = list(setting.values)
        elif setting.type == "integer":
            described[setting.name] = None
        elif not setting.secret:
            described[setting.name] = []
    return answers.json_answer(described)
