"""Step caching and isolated keyframes: what they skip, what they keep, and that they leave no trace."""

import pytest
import torch
from small_wan import small_dit, small_pipeline

from flowedit.errors import ModelError, SettingError
from flowedit.wan import vendor
from flowedit.wan.adapter import positions
from flowedit.wan.fast import FastOptions, use_fast_blocks
from flowedit.wan.shortcuts import IsolatedKeys, LazyGuidance, StepCache, using

T2V = "Wan2.1-T2V-1.3B"
POSITIONS = (0, 1, 2, 0, 2)


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def run(model_fn, dit, times, context):
    latents = draw(1, 1, 16, 3, 6, 8)
    with torch.no_grad():
        return [model_fn(dit=dit, latents=latents, timestep=torch.tensor([t]), context=context) for t in times]


def test_a_run_of_two_steps_is_computed_whole_whatever_the_threshold():
    dit, context = small_dit("t2v"), draw(2, 1, 8, 32)
    cache = StepCache(vendor.model_fn_wan_video, checkpoint=T2V, steps=2, threshold=1e9)
    times = [900.0, 400.0]
    for found, expected in zip(
        run(cache, dit, times, context), run(vendor.model_fn_wan_video, dit, times, context), strict=True
    ):
        torch.testing.assert_close(found, expected)
    assert (cache.computed, cache.skipped) == (2, 0)


def test_a_high_threshold_computes_the_first_and_the_last_step_only():
    dit, context = small_dit("t2v"), draw(2, 1, 8, 32)
    cache = StepCache(vendor.model_fn_wan_video, checkpoint=T2V, steps=4, threshold=1e9)
    times = [900.0, 700.0, 500.0, 300.0]
    found = run(cache, dit, times, context)
    expected = run(vendor.model_fn_wan_video, dit, times, context)
    assert (cache.computed, cache.skipped) == (2, 2)
    assert torch.equal(found[0], expected[0])
    assert not torch.equal(found[1], expected[1])
    assert torch.equal(found[3], expected[3])


def test_branches_do_not_share_a_cache():
    dit, prompts = small_dit("t2v"), [draw(2, 1, 8, 32), draw(3, 1, 8, 32)]
    cache = StepCache(vendor.model_fn_wan_video, checkpoint=T2V, steps=3, threshold=1e9)
    both = [run(cache, dit, [t], context)[0] for t in (900.0, 600.0) for context in prompts]
    for row, context in enumerate(prompts):
        alone = StepCache(vendor.model_fn_wan_video, checkpoint=T2V, steps=3, threshold=1e9)
        for step, expected in enumerate(run(alone, dit, [900.0, 600.0], context)):
            assert torch.equal(both[2 * step + row], expected)


def test_a_second_run_begins_afresh():
    dit, context = small_dit("t2v"), draw(2, 1, 8, 32)
    cache = StepCache(vendor.model_fn_wan_video, checkpoint=T2V, steps=5, threshold=1e9)
    times = [900.0, 700.0, 500.0]
    first, second = run(cache, dit, times, context), run(cache, dit, times, context)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert (cache.computed, cache.skipped) == (2, 4)


def test_a_checkpoint_without_coefficients_is_refused():
    with pytest.raises(ModelError, match="InP has none"):
        StepCache(vendor.model_fn_wan_video, checkpoint="Wan2.1-Fun-1.3B-InP", steps=4, threshold=0.1)
    with pytest.raises(SettingError, match="-1"):
        StepCache(vendor.model_fn_wan_video, checkpoint=T2V, steps=4, threshold=-1)


def masked_joint(dit, latents, sigma_time, context, num_slots, tokens_per_slot):
    """The joint forward in which keyframe tokens cannot see the clip, written as one masked attention."""
    from flowedit.wan import blocks

    total = latents.shape[2] * tokens_per_slot
    main = num_slots * tokens_per_slot
    allowed = torch.ones(total, total, dtype=torch.bool)
    allowed[main:, :main] = False

    def attend(q, k, v):
        mask = allowed if q.shape[2] == k.shape[2] == total else None
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    kept = torch.nn.functional.scaled_dot_product_attention
    for block in dit.blocks:
        block.forward = lambda x, c, m, f, block=block: blocks.keyed_block(
            block, x, c, m, blocks.View(*blocks.real_tables(f)), attend
        )[0]
    try:
        with positions(dit, POSITIONS), torch.no_grad():
            return vendor.model_fn_wan_video(dit=dit, latents=latents, timestep=sigma_time, context=context)
    finally:
        assert torch.nn.functional.scaled_dot_product_attention is kept
        for block in dit.blocks:
            del block.forward


def test_isolated_keyframes_equal_one_masked_forward():
    dit = small_dit("t2v")
    latents, context, time = draw(4, 1, 16, 5, 6, 8), draw(5, 1, 8, 32), torch.tensor([600.0])
    expected = masked_joint(dit, latents, time, context, 3, 12)
    store = use_fast_blocks(dit, FastOptions(compiled=False))
    isolated = IsolatedKeys(vendor.model_fn_wan_video, store, 3)
    with positions(dit, POSITIONS), torch.no_grad():
        found = isolated(dit=dit, latents=latents, timestep=time, context=context)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


def test_keyframes_run_once_for_both_branches_and_again_for_the_next_step():
    dit = small_dit("t2v")
    lengths = []

    def counting(**inputs):
        lengths.append(inputs["latents"].shape[2])
        return vendor.model_fn_wan_video(**inputs)

    isolated = IsolatedKeys(counting, use_fast_blocks(dit, FastOptions(compiled=False)), 3)
    with positions(dit, POSITIONS), torch.no_grad():
        for step in range(2):
            latents = draw(step, 1, 16, 5, 6, 8)
            for branch in range(2):
                isolated(dit=dit, latents=latents, timestep=torch.tensor([500.0]), context=draw(branch, 1, 8, 32))
    assert lengths == [2, 3, 3] * 2


def test_keyframes_shown_to_the_prompt_alone_leave_the_negative_branch_as_without_them():
    dit, times = small_dit("t2v"), torch.tensor([500.0])
    latents, contexts = draw(4, 1, 16, 5, 6, 8), [draw(5, 1, 8, 32), draw(6, 1, 8, 32)]
    store = use_fast_blocks(dit, FastOptions(compiled=False))
    runs = {shown: IsolatedKeys(vendor.model_fn_wan_video, store, 3, shown=shown) for shown in ("both", "first")}
    with positions(dit, POSITIONS), torch.no_grad():
        given = {"dit": dit, "latents": latents, "timestep": times}
        both, first = ([model_fn(context=c, **given) for c in contexts] for model_fn in runs.values())
        alone = vendor.model_fn_wan_video(dit=dit, latents=latents[:, :, :3], timestep=times, context=contexts[1])
    assert torch.equal(first[0], both[0])
    assert torch.equal(first[1][:, :, :3], alone)
    assert not torch.allclose(both[1][:, :, :3], alone, atol=1e-4)
    assert torch.equal(first[1][:, :, 3:], first[0][:, :, 3:])


class TestLazyGuidance:
    PROMPT, NEGATIVE = draw(2, 1, 8, 32), draw(3, 1, 8, 32)

    def velocities(self, lazy, dit, times):
        pairs = []
        for step, time in enumerate(times):
            latents, t = draw(10 + step, 1, 16, 3, 6, 8), torch.tensor([time])
            with torch.no_grad():
                pair = [lazy(dit=dit, latents=latents, timestep=t, context=c) for c in (self.PROMPT, self.NEGATIVE)]
            pairs.append(pair)
        return pairs

    def test_every_step_is_the_plain_pair(self):
        dit, times = small_dit("t2v"), [900.0, 600.0, 300.0]
        lazy = LazyGuidance(vendor.model_fn_wan_video, every=1)
        found = self.velocities(lazy, dit, times)
        expected = self.velocities(vendor.model_fn_wan_video, dit, times)
        assert lazy.skipped == 0
        for pair, plain in zip(found, expected, strict=True):
            assert torch.equal(pair[0], plain[0])
            torch.testing.assert_close(pair[1], plain[1], atol=1e-6, rtol=1e-6)

    def test_between_it_keeps_the_distance_and_the_prompts_forward_is_always_run(self):
        dit, times = small_dit("t2v"), [900.0, 700.0, 500.0, 300.0]
        lazy = LazyGuidance(vendor.model_fn_wan_video, every=2)
        found = self.velocities(lazy, dit, times)
        expected = self.velocities(vendor.model_fn_wan_video, dit, times)
        assert lazy.skipped == 2
        for step, (pair, plain) in enumerate(zip(found, expected, strict=True)):
            assert torch.equal(pair[0], plain[0])
            kept = expected[step - step % 2]
            torch.testing.assert_close(pair[1], plain[0] - (kept[0] - kept[1]), atol=1e-5, rtol=1e-5)

    def test_a_second_run_begins_afresh(self):
        dit, times = small_dit("t2v"), [900.0, 700.0]
        lazy = LazyGuidance(vendor.model_fn_wan_video, every=5)
        first, second = self.velocities(lazy, dit, times), self.velocities(lazy, dit, times)
        assert lazy.skipped == 2
        for pair, again in zip(first, second, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(pair, again, strict=True))

    def test_less_than_every_step_is_refused(self):
        with pytest.raises(SettingError, match="every 0 steps"):
            LazyGuidance(vendor.model_fn_wan_video, every=0)


def test_a_shortcut_is_taken_off_again():
    pipe = small_pipeline("t2v")
    inner = pipe.model_fn
    with pytest.raises(RuntimeError), using(pipe, lambda **_: None):
        assert pipe.model_fn is not inner
        raise RuntimeError
    assert pipe.model_fn is inner
