"""The looks: steady between keyframes, the same for the same seed, each unmistakably its own."""

import cv2
import numpy as np
import pytest
from agent_clips import picture, static_clip

from flowedit.agent.card import measure
from flowedit.agent.colour import Swatch, palette_distance, palette_of, to_lab, transport
from flowedit.agent.judge import change_ratio, structure_likeness
from flowedit.agent.painting import analyse, paint
from flowedit.agent.stylers import LOOKS, find_look, look_named, texture
from flowedit.agent.stylers.canvas import contour_flow
from flowedit.errors import SettingError

SIZE = (160, 240)
IMAGE = picture(size=SIZE)
COFFEE = picture("coffee", SIZE)


def card_for(images, name):
    return analyse(images, LOOKS[name], COFFEE if name == "transfer" else None)


@pytest.fixture(scope="module")
def painted():
    return {name: paint(IMAGE, card_for([IMAGE], name), 0, 1.0) for name in LOOKS}


def chroma(image):
    return float(np.hypot(to_lab(image)[..., 1], to_lab(image)[..., 2]).mean())


@pytest.mark.parametrize("name", LOOKS)
def test_keyframes_of_a_still_camera_change_little_more_than_their_source(name):
    """Catches grain drawn anew for each keyframe and thresholds that follow one picture."""
    frames = list(static_clip(33, SIZE)[[0, 12, 32]])
    card = card_for(frames, name)
    styled = [paint(frame, card, 0, 1.0) for frame in frames]
    assert change_ratio(frames, styled) <= 1.3
    assert change_ratio(frames, styled, regions=SIZE[0]) <= 1.3


def test_noise_alone_makes_no_region_of_an_oil_painting_flicker_more_than_the_source():
    """Catches strokes that are there or not, or turn, as the noise will have it: the mean hides the few that do."""
    still, rng = picture("coffee", (720, 720)), np.random.default_rng(0)
    frames = [np.clip(np.rint(still + rng.normal(0, 2, still.shape)), 0, 255).astype(np.uint8) for _ in range(3)]
    card = card_for(frames, "oil")
    styled = [paint(frame, card, 0, 1.0) for frame in frames]
    before, after = (sum(region_squares(images[0], other) for other in images[1:]) for images in (frames, styled))
    assert float(np.sqrt(after / before).max()) <= 1.3


def region_squares(one, other):
    """Mean square of the Lab distance in regions of a 24th of the height."""
    squares = ((to_lab(one) - to_lab(other)) ** 2).sum(axis=2)
    return cv2.resize(squares, (squares.shape[1] * 24 // squares.shape[0], 24), interpolation=cv2.INTER_AREA)


def test_a_neon_tube_does_not_light_the_dark_from_far_away():
    """Catches a glow with a long faint tail: what moves then flickers in black shadows well beside it."""
    dark = np.full((360, 640, 3), 2, np.uint8)
    lamp = cv2.circle(dark.copy(), (320, 180), 16, (230, 60, 40), -1, cv2.LINE_AA)
    card = card_for([lamp, IMAGE], "neon")
    seen = np.hypot.reduce(to_lab(paint(lamp, card, 0, 1.0)) - to_lab(paint(dark, card, 0, 1.0)), axis=2)
    rows, columns = np.indices(seen.shape)
    away = np.hypot(rows - 180, columns - 320) - 16
    assert seen[np.abs(away) < 4].mean() > 40
    assert seen[away > 32].max() < 1


def test_measures_of_each_picture_alone_would_be_seen():
    """The same place under one card and under two: a card for each picture moves the tones."""
    frames = [IMAGE, np.vstack([IMAGE[:80], np.full((80, SIZE[1], 3), 250, np.uint8)])]
    shared = card_for(frames, "watercolour")
    one = [paint(frame, shared, 0, 1.0)[20:60, 20:220].astype(float) for frame in frames]
    own = [paint(frame, card_for([frame], "watercolour"), 0, 1.0)[20:60, 20:220].astype(float) for frame in frames]
    assert np.abs(one[0] - one[1]).mean() < 1.0
    assert np.abs(own[0] - own[1]).mean() > 2.0


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_is_the_same_for_the_same_seed_changes_the_picture_and_keeps_its_shapes(name, painted):
    assert painted[name].dtype == np.uint8
    assert np.array_equal(paint(IMAGE, card_for([IMAGE], name), 0, 1.0), painted[name])
    assert np.abs(to_lab(painted[name]) - to_lab(IMAGE)).mean() > 2.0
    assert structure_likeness(IMAGE, painted[name]) > LOOKS[name].structure


def test_a_texture_is_made_once_shared_and_let_go():
    """Catches grain painted over by one keyframe and seen by the next, and textures that pile up."""
    first = texture.noise((30, 50), 3.0, 7)
    assert texture.noise((30, 50, 3), 3.0, 7) is first
    assert texture.noise((30, 50), 3.0, 8) is not first
    with pytest.raises(ValueError, match="read-only"):
        first += 1
    for seed in range(8, 8 + texture._MOST_KEPT):
        texture.noise((30, 50), 3.0, seed)
    again = texture.noise((30, 50), 3.0, 7)
    assert again is not first
    assert np.array_equal(again, first)


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_paints_any_size_and_flat_pictures(name):
    flat = [np.full((64, 96, 3), level, np.uint8) for level in (0, 128, 255)]
    for image in (*flat, *(picture(size=size) for size in ((128, 128), (90, 161), (17, 33)))):
        assert paint(image, card_for([image], name), 0, 1.0).shape == image.shape


def test_each_look_has_what_its_name_promises(painted):
    sheet = {name: to_lab(image)[..., 0] for name, image in painted.items()}
    assert chroma(painted["pencil"]) < 5
    assert sheet["pencil"].mean() > 65
    assert sheet["neon"].mean() < 0.7 * to_lab(IMAGE)[..., 0].mean()
    assert to_lab(painted["neon"])[..., 2].mean() < -15
    assert to_lab(painted["vintage"])[..., 2].mean() > 8
    assert chroma(painted["vintage"]) < chroma(IMAGE)
    assert np.percentile(sheet["vintage"][:4, :4], 99) < 15
    assert sheet["watercolour"].mean() > to_lab(IMAGE)[..., 0].mean()
    assert np.percentile(sheet["watercolour"], 2) > np.percentile(to_lab(IMAGE)[..., 0], 2) + 10
    assert chroma(painted["anime"]) > 1.15 * chroma(IMAGE)
    assert chroma(painted["oil"]) > 1.1 * chroma(IMAGE)


def test_strength_mixes_the_look_with_the_source():
    card = card_for([IMAGE], "oil")
    full, half = (paint(IMAGE, card, 0, strength).astype(float) for strength in (1.0, 0.5))
    assert np.abs(half - (full + IMAGE) / 2).max() <= 1.0


def test_transfer_brings_the_palette_near_the_reference_and_to_itself_changes_nothing():
    card = card_for([IMAGE], "transfer")
    after = palette_distance(measure([paint(IMAGE, card, 0, 1.0)]).palette, card.reference.palette)
    assert after < 0.6 * palette_distance(card.master.palette, card.reference.palette)
    same = paint(IMAGE, analyse([IMAGE], LOOKS["transfer"], IMAGE), 0, 1.0)
    assert np.abs(same.astype(int) - IMAGE).mean() < 1.5


def test_transport_moves_mass_by_the_cheapest_way():
    """Two swatches that would cross: the exact plan keeps them apart where a nearest match sends both to one."""
    first = tuple(Swatch(lab=(50, a, 0), weight=0.5) for a in (0, 10))
    second = tuple(Swatch(lab=(50, a, 0), weight=0.5) for a in (11, 30))
    _, goals = transport(first, second)
    assert goals[:, 1].tolist() == pytest.approx([11, 30])
    assert palette_distance(first, second) == pytest.approx(np.sqrt((11**2 + 20**2) / 2))
    assert palette_distance(first, first) == pytest.approx(0, abs=1e-6)


def test_the_palette_finds_the_colours_and_their_shares_and_no_picture_comes_first():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, :10] = (255, 0, 0)
    palette = palette_of(to_lab(image).reshape(-1, 3).astype(float))
    assert [swatch.weight for swatch in palette] == [0.75, 0.25]
    assert palette[1].lab == pytest.approx((53.2, 80.1, 67.2), abs=0.3)
    assert measure([IMAGE, COFFEE]).tones == measure([COFFEE, IMAGE]).tones


def test_strokes_follow_the_contours():
    """Vertical stripes: the flow runs down them, whatever the direction of rest."""
    stripes = np.repeat(np.tile(np.uint8([40, 40, 40, 40, 200, 200, 200, 200]), (64, 8))[..., None], 3, axis=2)
    x, y, clarity = contour_flow(to_lab(stripes)[..., 0], 2.0, measure([stripes]), 0.0)
    assert np.abs(y[16:48, 16:48]).min() > 0.99
    assert np.abs(x[16:48, 16:48]).max() < 0.15
    assert clarity[16:48, 16:48].min() > 0.9


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("a soft Aquarelle of the sea", "watercolour"),
        ("like an OIL PAINTING by van Gogh", "oil"),
        ("charcoal drawing", "pencil"),
        ("Tokyo at night, cyberpunk", "neon"),
        ("pop art comic book", "comic"),
        ("super 8 home movie", "vintage"),
        ("Japanese animation", "anime"),
        ("a boiling excellent cancelled plan", None),  # words are whole words
    ],
)
def test_words_find_their_look(words, name):
    assert getattr(find_look(words), "name", None) == name


def test_a_look_has_its_name_in_any_case_and_its_other_words():
    said = "Watercolor", "OIL", "Oil  painting", "Van Gogh", "cartoon"
    assert [look_named(name).name for name in said] == ["watercolour", "oil", "oil", "oil", "anime"]
    with pytest.raises(SettingError, match=", ".join(LOOKS)):
        look_named("cubism")
