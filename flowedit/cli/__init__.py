"""The command line: a module a command, whose options come from the settings' own dataclasses."""
