"""FlowField2D on the Python side."""

import numpy as np

from flowedit.widgets.flow_field_2d import FlowField2D


def test_trajectories_start_where_the_mode_says_and_land_on_the_target():
    """Catches modes exchanged, and noise that the widget does not send to the browser."""
    generate = FlowField2D(scene="points", particles=5)
    edit = FlowField2D(scene="points", particles=5, mode="edit", solver="heun")
    np.testing.assert_array_equal(generate.trajectories()[0], generate.noise)
    np.testing.assert_array_equal(edit.trajectories()[0], edit.scenes["points"]["samples"])
    for widget in (generate, edit):
        np.testing.assert_allclose(widget.trajectories()[-1], np.tile([1.5, 0.8], (5, 1)), atol=1e-9)


def test_the_same_seed_gives_the_same_widget():
    one, two, other = (FlowField2D(particles=4, seed=seed) for seed in (1, 1, 2))
    assert one.noise == two.noise
    assert one.noise != other.noise


def test_fallback_says_how_far_the_particles_move():
    widget = FlowField2D(scene="same", mode="edit", particles=6)
    moved = np.linalg.norm(np.diff(widget.trajectories()[[0, -1]], axis=0)[0], axis=1).mean()
    assert f"they move {moved:.4g} on average" in widget.fallback()
