"""The Hypernode API: one transport, one client, one file per resource."""
