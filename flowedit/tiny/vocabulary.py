"""Every word that the small Wan understands, by what it speaks of."""

SUBJECTS = [
    "ball",
    "box",
    "triangle",
    "ring",
    "star",
    "oval",
    "blob",
    "cross",
    "hexagon",
    "flower",
    "crescent",
    "gear",
    "cat",
    "woman",
    "motorcycle",
    "galaxy",
    "eye",
    "tissue",
    "coins",
    "man",
    "bricks",
    "grass",
    "stones",
    "moon",
    "page",
    "photo",
    "scene",
    "shape",
    "shapes",
]
"""Things in the picture: procedural shapes first, then what the photographs show."""
COLOURS = ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "white", "grey", "black"]
"""Names of hues; an object's colour before any style."""
PATTERNS = ["plain", "striped", "checkered", "dotted", "wavy", "noisy", "marbled", "textured", "gradient"]
"""What covers a shape or the background."""
MOTIONS = [
    "still",
    "left",
    "right",
    "up",
    "down",
    "spinning",
    "bouncing",
    "swinging",
    "growing",
    "shrinking",
    "slow",
    "fast",
    "drifting",
    "camera",
    "pan",
    "zoom",
    "in",
    "out",
    "turning",
    "crossing",
    "behind",
    "moving",
]
"""How things and the camera move."""
PLACES = ["background", "foreground", "large", "small", "one", "two", "three", "four", "five"]
"""Where, how large, how many."""
STYLES = [
    "original",
    "styled",
    "watercolour",
    "anime",
    "comic",
    "sketch",
    "oil",
    "neon",
    "vintage",
    "noir",
    "pastel",
    "popart",
    "blueprint",
    "woodcut",
    "warm",
    "cool",
    "sepia",
    "monochrome",
    "inverted",
    "vivid",
    "faded",
    "dark",
    "bright",
    "contrast",
    "soft",
    "duotone",
    "tinted",
    "posterised",
    "inked",
    "outlined",
    "thick",
    "thin",
    "hatching",
    "crosshatch",
    "paper",
    "grain",
    "canvas",
    "glow",
    "bloom",
    "halftone",
    "vignette",
    "recoloured",
    "flat",
    "golden",
    "night",
    "autumn",
    "winter",
    "sunset",
    "rose",
    "mint",
    "lavender",
]
"""Looks: named looks first, then what a look is made of."""

WORDS = tuple(dict.fromkeys([*SUBJECTS, *COLOURS, *PATTERNS, *MOTIONS, *PLACES, *STYLES]))
"""The whole vocabulary, in the order of the embedding's rows; append only, or the weights no longer fit."""

GLUE = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "by",
        "frame",
        "from",
        "is",
        "it",
        "its",
        "look",
        "of",
        "on",
        "painting",
        "style",
        "the",
        "to",
        "video",
        "with",
    ]
)
"""Words that carry nothing for the model and are dropped without a warning."""

_SAME = """
    watercolor=watercolour gray=grey posterized=posterised posterise=posterised posterize=posterised ink=inked
    hatched=hatching checkerboard=checkered circle=ball sphere=ball square=box cube=box donut=ring
    colored=tinted coloured=tinted recolored=recoloured cartoon=comic pencil=sketch drawing=sketch
    outline=outlined outlines=outlined glowing=glow violet=purple rotating=spinning moves=moving stripes=striped
    spots=dotted dots=dotted person=woman brick=bricks coin=coins stars=star zooming=zoom panning=pan
"""
SAME = dict(pair.split("=") for pair in _SAME.split())
"""Other spellings and near synonyms, and the word of the vocabulary that each stands for."""
