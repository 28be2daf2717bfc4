"""An embedded stand-in for the Hypernode API, with faults on request (optional extra ``sandbox``).

It follows CONTRACT.md 1 and 2 and answers every operation of ``openapi/hypernode.yaml``. From the bottom up, each file
knowing only those before it:

    faults, names, bodies    which request goes wrong; what nodes are called; what a body says
    products, settings       hosting tiers; judging settings
    flows, nodes, world      one job, one node, all of them: pure values, the clock is an argument
    branchers, allowlists,   what belongs to the nodes besides, as pure
    backups, annotations
    stage, answers, calls    all of that together; an answer; a request that may go ahead
    operations/, routes      what is answered, one function per operation; which of them when
    app, control             /v2 and /logbook: paths, tokens, faults and the log; /_sandbox
    wire, shops, server      resets and half answers on the socket; pages on /_shops; running it all
    tools, node_tools        stand-ins of the tools on a node, in need of nothing above; writing them into a folder

Where the contract is open, the file of the resource says at its top what is assumed. Nothing here talks to the real
API, and nothing outside of this folder needs it but ``hnctl sandbox`` and tests.
"""
