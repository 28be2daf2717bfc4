"""A node's settings: reading them, and one PATCH that is followed until its outcome is known.

A write whose answer is lost is never repeated blindly. The logbook and the node are read first; only when neither
shows the change is it sent again (CONTRACT.md 7).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypernode.api.apps import get_descriptions, get_detail
from hypernode.api.flows import FIRST_INTERVAL, LONGEST_INTERVAL, Flows, posted_since, wait
from hypernode.api.retries import may_be_sent_again, may_have_arrived
from hypernode.api.transport import Transport
from hypernode.catalogue import Catalogue, SettingValue, as_shown, as_text
from hypernode.errors import (
    ApiError,
    ConnectionFailed,
    CredentialsError,
    FlowFailed,
    FlowTimedOut,
    HypernodeError,
    InvalidValue,
    NotApplied,
    OutcomeUnknown,
    UnknownSetting,
)
from hypernode.secrets import Secret

if TYPE_CHECKING:
    from hypernode.api.models import Flow

logger = logging.getLogger(__name__)

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOST_SENDS = 5
_GRACE = 15
"""A write without an answer is looked for during so many intervals, half a minute by default, before it is repeated."""
_CLOCK_DOUBT = timedelta(seconds=2)  # the Date header and created_at both count whole seconds


class Settings:
    """The settings of one node.

    `interval` is how soon the platform may be expected to show a change, in seconds: the pace of looking for one whose
    answer was lost.
    """

    def __init__(
        self,
        transport: Transport,
        node: str,
        token: Secret,
        catalogue: Catalogue,
        *,
        interval: float = FIRST_INTERVAL,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._node = node
        self._token = token
        self._catalogue = catalogue
        self._flows = Flows(transport, node, token)
        self._interval = interval
        self._sleep = sleep
        self._clock = clock

    def get(self, name: str) -> SettingValue:
        """Return the live value of one setting; None when it is not set. A secret one comes as `Secret`.

        Raises:
            UnknownSetting: The catalogue or the node does not have it.
        """
        setting = self._catalogue.find(name)
        detail = self.detail()
        if name not in detail:
            raise UnknownSetting(f"the API says nothing of {name} for this node", node=self._node)
        return setting.typed(detail[name])

    def read(self) -> dict[str, SettingValue]:
        """Return the live values of all settings that both the catalogue and the node know, sorted by name."""
        detail = self.detail()
        return {name: setting.typed(detail[name]) for name, setting in self._catalogue.items() if name in detail}

    def detail(self) -> Mapping[str, Any]:
        """Return the node's whole answer as decoded JSON; it holds secrets in clear."""
        return get_detail(self._transport, self._node, self._token)

    def allowed(self) -> Mapping[str, Any]:
        """Return the settings of the platform and the values each takes now; the node's product does not count.

        Source: GET /v2/app/eav_descriptions/. What takes any text has no list, an empty one, or is missing.
        """
        return get_descriptions(self._transport, self._token)

    def set(self, settings: Mapping[str, SettingValue] | None = None, /, **more: SettingValue) -> Update:
        """Change settings with one PATCH and return the update that it started (source: PATCH /v2/app/{app}/).

        Texts are read as the catalogue types them; None asks the API for null, which nothing has tested for every
        setting (CONTRACT.md 7).

        Raises:
            UnknownSetting, ReadOnlySetting, InvalidValue: Nothing was sent.
            Rejected, Forbidden, ...: The API's refusal; by CONTRACT.md 7 nothing was applied.
            OutcomeUnknown: The answer was lost and reading did not settle it.
        """
        wished = {name: self._wish(name, value) for name, value in {**(settings or {}), **more}.items()}
        if not wished:
            raise InvalidValue("there is no setting to change")
        return self._post(wished)

    def _wish(self, name: str, value: object) -> SettingValue:
        setting = self._catalogue.writable(name)
        if value is None:
            return None
        if not isinstance(value, str | bool | int | Secret):
            # A float is how Python reads 8.10, and that is 8.1.
            hint = "Write versions as text, in quotes" if isinstance(value, float) else setting.takes()
            raise InvalidValue(f"{name} cannot be a {type(value).__name__}", hint=hint)
        if isinstance(value, Secret):
            if not setting.secret:
                raise InvalidValue(f"{name} is not secret: give its value as it is")
            return setting.parse(value.reveal())
        return setting.parse(as_text(value))

    def _post(self, wished: dict[str, SettingValue]) -> Update:
        body = {name: v.reveal() if isinstance(v, Secret) else v for name, v in wished.items()}
        secrets = [value for value in wished.values() if isinstance(value, Secret)]
        lost: ConnectionFailed | ApiError | None = None
        """The first send that may have arrived; whatever a later one says, its outcome is open."""
        for attempt in range(_MOST_SENDS):
            sent_at = datetime.now(UTC)
            try:
                answer = self._transport.send(
                    "PATCH", f"/v2/app/{self._node}/", body, token=self._token, node=self._node, secrets=secrets
                )
            except (ConnectionFailed, ApiError, CredentialsError) as exc:
                if isinstance(exc, CredentialsError) or not may_be_sent_again(exc):
                    raise self._unless_lost(exc, lost) from exc.__cause__
                if lost is None and may_have_arrived(exc):
                    lost, lost_at = exc, sent_at
                logger.debug("%s; reading before anything is sent again", exc)
                update = self._look_for(wished, sent_at if lost is None else lost_at, exc, lost)
                if update is not None:
                    return update
                if attempt + 1 == _MOST_SENDS:
                    raise self._unless_lost(exc, lost) from exc.__cause__
                continue
            if answer.status != 202:
                return self.follow(wished, posted=False)
            tracker = _UUID.search((answer.location or "").partition("?")[0])
            if tracker:
                return self.follow(wished, tracker=tracker[0].lower())
            return self.follow(wished, since=self._transport.server_time(sent_at) - _CLOCK_DOUBT)
        raise AssertionError("the loop returns or raises")

    def _unless_lost(self, exc: HypernodeError, lost: ConnectionFailed | ApiError | None) -> HypernodeError:
        """Return `exc`, with which sending ends, or the error for an open outcome if an earlier send may be applied."""
        if lost is None:
            return exc
        again = f"; it was sent again, and {exc.message}" if exc is not lost else ""
        return self._unknown(f"a change was sent and its answer was lost ({lost.message}){again}")

    def _unknown(self, message: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            message, hint="Run the same command again: it reads first and sends only what is missing", node=self._node
        )

    def _look_for(
        self,
        wished: dict[str, SettingValue],
        sent_at: datetime,
        cause: ConnectionFailed | ApiError,
        lost: ConnectionFailed | ApiError | None,
    ) -> Update | None:
        """Find out whether a write without an answer arrived; None when nothing of it is to be seen.

        The logbook shows a flow only some time after it was posted, and that it shows none means nothing until then
        (CONTRACT.md 1.7, step 4), hence several looks.
        """
        try:
            for pause in self._pauses(cause):
                self._sleep(pause)
                # Asked before the server's time is taken, since that comes with an answer.
                newest = self._flows.newest()
                since = self._transport.server_time(sent_at) - _CLOCK_DOUBT
                if flow := posted_since(since, newest):
                    return self.follow(wished, tracker=flow.tracker.uuid, flow=flow.uuid)
                if not self.differing(wished):
                    return self.follow(wished, posted=False)
        except HypernodeError as exc:
            if lost is None:
                raise cause from cause.__cause__
            what = f"a change was sent and its answer was lost ({lost.message})"
            raise self._unknown(f"{what}; reading the node failed too: {exc.message}") from exc
        return None

    def find_sent(
        self, wished: Mapping[str, SettingValue], sent_at: datetime, flows: Sequence[str] = ()
    ) -> Update | None:
        """Return the update of a write that another process sent, or was about to send, at `sent_at`.

        Args:
            wished: What was sent, typed.
            sent_at: When, by the clock of this machine.
            flows: Uuids of its flows, as far as they were seen.

        Returns:
            None: nothing of it is to be seen, and it would be by now.

        Raises:
            HypernodeError: The logbook or the node cannot be read.
        """
        wished = dict(wished)
        # A clock that was set back meanwhile must not make us wait for longer than for a write of this moment.
        left = min(
            max(_GRACE * self._interval - (datetime.now(UTC) - sent_at).total_seconds(), 0), _GRACE * self._interval
        )
        pause = self._interval / 4
        while True:
            newest = self._flows.newest()
            since = self._transport.server_time(sent_at) - _CLOCK_DOUBT
            flow = next((flow for flow in newest if flow.uuid in flows), None) or posted_since(since, newest)
            there = not self.differing(wished)
            # One that has succeeded and left other values there is another one than ours, or was undone since.
            if flow is not None and (there or flow.state != "success"):
                return self.follow(wished, tracker=flow.tracker.uuid, flow=flow.uuid)
            if there:
                return self.follow(wished, posted=False)
            if left <= 0:
                return None
            self._sleep(min(pause, left))
            left -= pause
            pause = min(2 * pause, LONGEST_INTERVAL)

    def _pauses(self, cause: ConnectionFailed | ApiError) -> Iterator[float]:
        """Yield the pauses before the looks that decide whether a write is sent again."""
        if not may_have_arrived(cause):
            yield 0.5 if isinstance(cause, ConnectionFailed) else 0.0  # a 429 brings a pause of its own
            return
        pause, left = self._interval / 4, _GRACE * self._interval
        while left > 0:
            yield min(pause, left)
            left -= pause
            pause = min(2 * pause, LONGEST_INTERVAL)

    def differing(self, wished: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
        """Read the node and return the live values of those of `wished` that it does not have."""
        detail = self.detail()
        live = {name: self._catalogue.find(name).typed(detail.get(name)) for name in wished}
        return {name: value for name, value in live.items() if value != wished[name]}

    def follow(
        self,
        wished: Mapping[str, SettingValue],
        *,
        posted: bool = True,
        tracker: str | None = None,
        flow: str | None = None,
        since: datetime | None = None,
    ) -> Update:
        """Return the update of a write that the API took, perhaps for another process; the arguments are its fields."""
        return Update(self._node, wished, posted, tracker, flow, since, self, self._flows, self._sleep, self._clock)


@dataclass(frozen=True, slots=True)
class Update:
    """A change of settings on its way: one PATCH that the API took (CONTRACT.md 1.7)."""

    node: str
    wished: Mapping[str, SettingValue]
    posted: bool
    """Whether a job was started; False: there was nothing to do."""
    tracker: str | None
    """Uuid that ties the job's flows together; None when the API did not tell it."""
    flow: str | None
    """Uuid of a flow that was found in the logbook instead."""
    since: datetime | None
    """Server time of the call, to find the flow by when there is neither tracker nor flow."""
    _settings: Settings = field(repr=False)
    _flows: Flows = field(repr=False)
    _sleep: Callable[[float], None] = field(repr=False)
    _clock: Callable[[], float] = field(repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be told of it besides: nothing, as the API asks no questions."""
        return ()

    def wait(
        self,
        timeout: float = 900.0,
        *,
        interval: float = FIRST_INTERVAL,
        on_look: Callable[[Sequence[Flow]], None] | None = None,
    ) -> tuple[Flow, ...]:
        """Wait until every flow of the change has succeeded, then read the node back and compare.

        Args:
            timeout: Seconds; running out of them cancels nothing.
            interval: Seconds until the first look; later ones are up to 15 seconds apart.
            on_look: Told the flows that each look saw.

        Returns:
            The flows; none when there was nothing to do, or when the values are there and no flow ever showed up.

        Raises:
            FlowFailed: Reverted; the message tells what the node has now.
            FlowTimedOut: Not done in time.
            NotApplied: Done, and the node has another value.
            OutcomeUnknown: No flow of the change ever showed up, and the values are not there.
        """
        try:
            flows = self._wait_for_flows(timeout, interval, on_look) if self.posted else ()
            differing = self._settings.differing(self.wished)
        except (ConnectionFailed, ApiError, CredentialsError) as exc:
            raise OutcomeUnknown(
                f"the API took the change, and the node cannot be watched any more: {exc.message}",
                hint="Look at it later with `hnctl flows list` and `hnctl settings get`",
                node=self.node,
            ) from exc
        if not differing:
            return flows
        there = "; ".join(f"{name} is {as_shown(value)}" for name, value in differing.items())
        if self.posted and not flows:
            raise OutcomeUnknown(
                f"the API took the change, no flow of it ever showed up in the logbook, and {there}",
                hint="Look at the logbook with `hnctl flows list`, then run the same command again",
                node=self.node,
            )
        raise NotApplied(
            f"the platform says the change is done, and still {there}",
            hint="Look at the node with `hnctl settings get`; something else may be changing it",
            node=self.node,
        )

    def _wait_for_flows(
        self, timeout: float, interval: float, on_look: Callable[[Sequence[Flow]], None] | None
    ) -> tuple[Flow, ...]:
        try:
            return wait(
                self._seen, timeout=timeout, interval=interval, on_look=on_look, sleep=self._sleep, clock=self._clock
            )
        except FlowTimedOut as exc:
            exc.node = self.node
            raise
        except FlowFailed as exc:
            raise FlowFailed(
                f"{exc.message}; {self._what_is_there()}", flow=exc.flow, state=exc.state, hint=exc.hint, node=self.node
            ) from None

    def _seen(self) -> Sequence[Flow]:
        """Return the flows of this change that the logbook shows by now."""
        if self.tracker:
            return self._flows.newest(tracker=self.tracker)
        if self.flow:
            return [flow for flow in self._flows.newest() if flow.uuid == self.flow]
        found = posted_since(self.since, self._flows.newest()) if self.since else None
        if found is None:
            return []
        if found.tracker.uuid:
            return self._flows.newest(tracker=found.tracker.uuid)
        return [found]

    def _what_is_there(self) -> str:
        # Whether a reverted flow restores the stored value is not known (CONTRACT.md 7), so say what is there.
        try:
            differing = self._settings.differing(self.wished)
        except HypernodeError as exc:
            return f"the node could not be read afterwards ({exc.message})"
        if not differing:
            return "and yet the node answers the new values"
        return "the node has " + ", ".join(f"{name} {as_shown(value)}" for name, value in differing.items())
