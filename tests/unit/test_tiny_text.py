"""The tokenizer and the text encoder: the vendor's call, a documented vocabulary, unknown words named."""

import warnings

import pytest
import torch

from flowedit.errors import UnknownWordsWarning, UnusualSettingWarning
from flowedit.tiny.config import TEXT_LENGTH
from flowedit.tiny.text import START, VOCABULARY_SIZE, TinyTextEncoder, WordTokenizer, split_words
from flowedit.tiny.vocabulary import GLUE, SAME, WORDS
from training.forward import encode_prompts


def test_known_words_pass_without_a_warning_and_padding_is_masked():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids, mask = WordTokenizer()("A red ball, in watercolor!", return_mask=True, add_special_tokens=True)
    assert ids.shape == mask.shape == (1, TEXT_LENGTH)
    assert int(mask.sum()) == 5  # start, red, ball, in, watercolour
    assert int(ids[0, 0]) == START


def test_unknown_words_are_named_with_their_prompts_and_change_nothing():
    tokenizer = WordTokenizer()
    with pytest.warns(UnusualSettingWarning, match="'zeppelin', 'quixotic'") as caught:
        strange = tokenizer(["red ball", "red zeppelin quixotic ball"])
    assert caught[0].message.prompts == ("red zeppelin quixotic ball",)
    assert caught[0].category is UnknownWordsWarning
    assert torch.equal(strange[1], strange[0])


def test_spelling_plural_and_case_do_not_matter_and_a_long_prompt_is_cut():
    assert split_words("RED Balls posterized") == (["red", "ball", "posterised"], [])
    assert WordTokenizer()(" ".join(["red"] * 100)).shape == (1, TEXT_LENGTH)


def test_word_order_and_words_reach_the_output():
    encoder = TinyTextEncoder(16).eval()
    tokenizer = WordTokenizer()
    one, two, three = (encode_prompts(encoder, tokenizer(p)) for p in ("red ball", "ball red", "blue ball"))
    assert not torch.allclose(one, two)
    assert not torch.allclose(one, three)


def test_padding_neither_reaches_the_words_nor_the_output():
    encoder = TinyTextEncoder(16).eval()
    ids, mask = WordTokenizer()("red ball", return_mask=True)
    changed = torch.where(mask == 0, 7, ids)
    words = mask.bool()
    torch.testing.assert_close(encoder(ids, mask)[words], encoder(changed, mask)[words])
    out = encode_prompts(encoder, ids)
    assert (out[:, int(mask.sum()) :] == 0).all()


def test_the_vocabulary_is_consistent():
    assert len(WORDS) == len(set(WORDS)) <= VOCABULARY_SIZE - 2
    assert len(WORDS) >= 100
    assert not GLUE & set(WORDS)
    assert set(SAME.values()) <= set(WORDS)
    assert not set(SAME) & set(WORDS)
