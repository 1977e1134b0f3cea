"""The small Wan that ships with flowedit: its world, its training, its weights."""
