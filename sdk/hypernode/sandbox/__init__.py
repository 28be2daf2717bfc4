"""An embedded stand-in for the Hypernode API, with faults on request (optional extra ``sandbox``).

It follows CONTRACT.md 1 and the operations that ``openapi/hypernode.yaml`` marks with ``x-sandbox``. From the
bottom up, each file knowing only those before it:

    faults, names, bodies    which request goes wrong; what nodes are called; what a body says
    flows, nodes, world      one job, one node, all of them: pure values, the clock is an argument
    answers, app, control    what is answered on /v2 and /logbook, and on /_sandbox
    wire, shops, server      resets and half answers on the socket; pages on /_shops; running it all
    tools, node_tools        stand-ins of the tools on a node, in need of nothing above; writing them into a folder

Nothing here talks to the real API, and nothing outside of this folder needs it but ``hnctl sandbox`` and tests.
"""
