"""The classical estimate of an edit: colour map, propagation, local regression, and their blend; no torch."""
