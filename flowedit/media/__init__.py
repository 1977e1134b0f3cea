"""Clips, pictures and sound: read and written frame-exactly."""
