"""Every word that the small Wan understands, by what it speaks of."""

_SPOKEN_OF = {
    "things in the picture: procedural shapes, then what photographs show": """
        ball box triangle ring star oval blob cross hexagon flower crescent gear cat woman motorcycle galaxy eye
        tissue coins man bricks grass stones moon page photo scene shape shapes
    """,
    "hues: an object's own, before any style": """
        red orange yellow green cyan blue purple pink brown white grey black
    """,
    "what covers a shape or the background": """
        plain striped checkered dotted wavy noisy marbled textured gradient
    """,
    "how things and the camera move": """
        still left right up down spinning bouncing swinging growing shrinking slow fast drifting camera pan zoom
        in out turning crossing behind moving
    """,
    "where, how large, how many": """
        background foreground large small one two three four five
    """,
    "looks: named ones, then what a look is made of": """
        original styled watercolour anime comic sketch oil neon vintage noir pastel popart blueprint woodcut
        warm cool sepia monochrome inverted vivid faded dark bright contrast soft duotone tinted posterised
        inked outlined thick thin hatching crosshatch paper grain canvas glow bloom halftone vignette recoloured
        flat golden night autumn winter sunset rose mint lavender
    """,
}
WORDS = tuple(dict.fromkeys(word for words in _SPOKEN_OF.values() for word in words.split()))
"""The whole vocabulary, in the order of the embedding's rows; append only, or the weights no longer fit."""

_GLUE = "a an and are as at by frame from is it its look of on painting style the to video with"
GLUE = frozenset(_GLUE.split())
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
