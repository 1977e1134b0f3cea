"""Builds the lessons from their sources, runs them, and writes them as pages."""
