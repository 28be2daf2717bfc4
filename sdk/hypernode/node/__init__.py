"""A node's own tools, run on the node itself or over SSH (CONTRACT.md 4)."""
