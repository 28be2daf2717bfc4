"""The version of both packages; CHANGELOG.md names the same one (a test compares them)."""

__version__ = "0.1.0"
