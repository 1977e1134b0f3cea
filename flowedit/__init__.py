"""flowedit: keyframe-guided video editing by flow matching on Wan video models."""

__version__ = "0.1.0"
