"""The Wan adapter: the only package that imports diffsynth."""
