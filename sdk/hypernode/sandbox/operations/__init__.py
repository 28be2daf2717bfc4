"""The operations of ``openapi/hypernode.yaml``: one file per resource, one function per operation, named as it is.

A function answers one request that is allowed. Reads give an `Answer`, writes a `Done`.
"""
