"""A lesson's figures in JupyterLab's two themes."""

import io

import numpy as np
from PIL import Image

CELLS = (
    "from flowedit import lessons\nlessons.setup('01')",
    "fig, ax = lessons.figure(height=2)\nax.plot([0, 1], color='C1')\nlessons.show(fig, 'One rising line, a drawing')",
    "import numpy as np\nfrom tests.browser.examples import scene\n"
    "fig, axes = lessons.contact({'a': scene(2)}, [0, 1])\nlessons.show(fig, 'Two frames of a scene, photographs')",
)


def seen(book, nth):
    """The `nth` picture as the page shows it, float (H, W, 3) in [0, 1]."""
    shot = book.page.locator(".jp-RenderedImage img").nth(nth).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")) / 255


def test_a_drawing_follows_the_theme_and_a_photograph_keeps_its_colours(open_notebook):
    """Catches a white sheet that glares in a dark notebook, a red line turned blue there, and inverted photographs."""
    book = open_notebook(*CELLS)
    shown = {}
    for theme in ("Light", "Dark"):
        book.set_theme(f"JupyterLab {theme}")
        book.page.wait_for_timeout(800)
        shown[theme] = {words: seen(book, nth) for nth, words in enumerate(("drawing", "photographs"))}
    light, dark = (shown[theme]["drawing"] for theme in ("Light", "Dark"))
    assert np.median(light) > 0.95
    assert np.median(dark) < 0.12
    for picture in (light.reshape(-1, 3), dark.reshape(-1, 3)):
        red, green, blue = picture[np.ptp(picture, axis=1).argmax()]
        assert red > green > blue  # the line is orange on both grounds
    one, other = (shown[theme]["photographs"][:-2] for theme in ("Light", "Dark"))  # below lies the page
    np.testing.assert_allclose(one, other, atol=0.02)
