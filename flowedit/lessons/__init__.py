"""What the lessons call: set up a notebook, check an answer, show a figure with its words.

These names need NumPy and matplotlib alone. What needs a model is a module that a lesson imports by name: `material`
(clips and the small model), `record`, `forecast`, `scoring` and `contract`.
"""

from flowedit.lessons.card import predict, recall, setup
from flowedit.lessons.exercises import check
from flowedit.lessons.look import contact, figure, show

__all__ = ["check", "contact", "figure", "predict", "recall", "setup", "show"]
