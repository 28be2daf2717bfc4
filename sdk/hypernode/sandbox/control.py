"""The control path ``/_sandbox/``: no part of the API, without tokens, never delayed and never faulted.

`PATHS` lists them, and so does GET ``/_sandbox/``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, Router

from hypernode.errors import InputError
from hypernode.sandbox.faults import show_rules
from hypernode.sandbox.flows import ENDINGS
from hypernode.sandbox.stage import Stage

PREFIX = "/_sandbox/"
PATHS: Final[Mapping[str, str]] = {
    "GET log": "every API request in order",
    "DELETE log": "forget them",
    "GET faults": "which faults there are",
    "PUT faults": '{"reset": 0.2, "hang": ["kaasshop"], "any": "20%"}, all at once',
    "GET nodes": "names and tokens; a Brancher's is its parent's",
    "PUT nodes/{node}/settings": '{"php_version": "8.4"}: values changed behind the client\'s back, without a flow',
    "PUT nodes/{node}/product": '{"code": "EAGLE_M_202203"}, at once; {"used_gb": 40} of its disk',
    "PUT nodes/{node}/fpm": '{"busy": 12}: its PHP-FPM workers at work',
    "PUT nodes/{node}/shop": '{"broken": {"php_version": "8.4"}}: while it has these; {}: always; null: no more',
    "POST nodes/{node}/flows": '{"name": "xgrade_app", "seconds": 2, "ending": "success"}, or "reverted"',
    "GET branchers": "all that live",
    "PUT branchers": '{"brancher_time": 3, "logbook_delay": 0.5, "ending": "success"} for those made from now on; '
    'a time of null: never; or "reverted"',
    "DELETE branchers/{node}": "gone at once, behind the client's back",
    "PUT allowlist": '{"types": ["waf", "database", "ftp", "ssh", "phpmyadmin"]}: those that there are',
    "GET order-token": "the token that may order nodes",
    "PUT links": '{"location_base": URL, "next_base": URL, "redirect_to": URL}: where answers lead, each by itself',
}
"""What can be done below `PREFIX`, each with its body or its answer."""


def make_control(stage: Stage) -> Router:
    """Return the control path of `stage`."""

    async def paths(request: Request) -> JSONResponse:
        told = [(*about.split(" "), text) for about, text in PATHS.items()]
        return JSONResponse([{"method": method, "path": PREFIX + path, "about": text} for method, path, text in told])

    async def log(request: Request) -> JSONResponse:
        if request.method == "DELETE":
            stage.log.entries.clear()
        return JSONResponse([entry.as_json() for entry in stage.log.in_order()])

    async def faults(request: Request) -> JSONResponse:
        if request.method == "PUT":
            return await _with_body(request, stage.set_faults)
        return JSONResponse(show_rules(stage.draws.rules))

    async def links(request: Request) -> JSONResponse:
        return await _with_body(request, stage.set_links)

    async def nodes(request: Request) -> JSONResponse:
        now = stage.world.clock()
        return JSONResponse({node.name: node.token for node in stage.world.nodes.values() if not node.is_gone(now)})

    async def settings(request: Request) -> JSONResponse:
        def change(given: Mapping[str, object]) -> None:
            stage.world.set(stage.world.find(request.path_params["node"]), given)

        return await _with_body(request, change)

    async def product(request: Request) -> JSONResponse:
        def move(given: Mapping[str, object]) -> None:
            stage.world.move(stage.world.find(request.path_params["node"]), given.get("code"), given.get("used_gb"))

        return await _with_body(request, move)

    async def branchers(request: Request) -> JSONResponse:
        if request.method == "PUT":
            return await _with_body(request, stage.branchers.set_delivery)
        return JSONResponse(stage.branchers.all_living())

    async def brancher(request: Request) -> JSONResponse:
        try:
            stage.branchers.destroy(stage.world.find(request.path_params["node"]))
        except InputError as exc:
            return JSONResponse({"error": str(exc)}, 400)
        return JSONResponse({})

    async def allowlist(request: Request) -> JSONResponse:
        def set_types(given: Mapping[str, object]) -> None:
            types = given.get("types")
            if set(given) != {"types"} or not isinstance(types, list):
                raise InputError('write {"types": [TYPE, ...]}')
            stage.allowlists.set_types(types)

        return await _with_body(request, set_types)

    async def order_token(request: Request) -> JSONResponse:
        return JSONResponse({"token": stage.world.order_token})

    async def fpm(request: Request) -> JSONResponse:
        def keep_busy(given: Mapping[str, object]) -> None:
            stage.world.keep_busy(stage.world.find(request.path_params["node"]), given.get("busy"))

        return await _with_body(request, keep_busy)

    async def shop(request: Request) -> JSONResponse:
        def break_shop(given: Mapping[str, object]) -> None:
            broken = given.get("broken")
            if set(given) != {"broken"} or not (broken is None or isinstance(broken, dict)):
                raise InputError('write {"broken": {SETTING: VALUE}}, or {"broken": null}')
            stage.world.break_shop(stage.world.find(request.path_params["node"]), broken)

        return await _with_body(request, break_shop)

    async def flows(request: Request) -> JSONResponse:
        def start(given: Mapping[str, object]) -> dict[str, object]:
            node = stage.world.find(request.path_params["node"])
            name, seconds, ending = given.get("name"), given.get("seconds"), given.get("ending", "success")
            if not isinstance(name, str) or not isinstance(seconds, int | float) or ending not in ENDINGS:
                raise InputError('write {"name": TEXT, "seconds": NUMBER, "ending": "success" or "reverted"}')
            job = stage.world.start_flow(
                node, name, max(seconds, 0.001), "success" if ending == "success" else "reverted"
            )
            return {"tracker": job.tracker}

        return await _with_body(request, start)

    return Router(
        [
            Route(PREFIX, paths),
            Route(PREFIX + "log", log, methods=["GET", "DELETE"]),
            Route(PREFIX + "faults", faults, methods=["GET", "PUT"]),
            Route(PREFIX + "links", links, methods=["PUT"]),
            Route(PREFIX + "nodes", nodes),
            Route(PREFIX + "nodes/{node}/settings", settings, methods=["PUT"]),
            Route(PREFIX + "nodes/{node}/product", product, methods=["PUT"]),
            Route(PREFIX + "nodes/{node}/fpm", fpm, methods=["PUT"]),
            Route(PREFIX + "nodes/{node}/shop", shop, methods=["PUT"]),
            Route(PREFIX + "nodes/{node}/flows", flows, methods=["POST"]),
            Route(PREFIX + "branchers", branchers, methods=["GET", "PUT"]),
            Route(PREFIX + "branchers/{node}", brancher, methods=["DELETE"]),
            Route(PREFIX + "allowlist", allowlist, methods=["PUT"]),
            Route(PREFIX + "order-token", order_token),
        ]
    )


async def _with_body(request: Request, act: Callable[[Mapping[str, object]], dict[str, object] | None]) -> JSONResponse:
    """Call `act` with the request's JSON object; what it refuses is a 400."""
    try:
        given = await request.json()
        if not isinstance(given, dict):
            raise InputError("the body is no JSON object")
        return JSONResponse(act(given) or {})
    except (InputError, ValueError) as exc:
        return JSONResponse({"error": str(exc)}, 400)
