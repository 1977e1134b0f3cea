"""The small text encoder and its tokenizer: drop-in for diffsynth's ``WanTextEncoder`` and ``HuggingfaceTokenizer``."""

import re
import warnings
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from flowedit.errors import UnknownWordsWarning
from flowedit.tiny.config import TEXT_LENGTH, TextSize
from flowedit.tiny.vocabulary import GLUE, SAME, WORDS

PAD, START = 0, 1
"""Ids of the padding token and of the token that opens every prompt; words follow."""
VOCABULARY_SIZE = 256
"""Rows of the embedding; the vocabulary may grow up to here without a new architecture."""
_IDS = {word: row + 2 for row, word in enumerate(WORDS)}


class WordTokenizer:
    """Turns prompts into word ids, with the call of diffsynth's ``HuggingfaceTokenizer``.

    Example:
        >>> ids, mask = WordTokenizer()("a red ball, watercolour", return_mask=True)
        >>> ids.shape, int(mask.sum())
        (torch.Size([1, 32]), 4)
    """

    def __init__(self, seq_len: int = TEXT_LENGTH) -> None:
        """Set the length of a tokenised prompt, padding included."""
        self.seq_len = seq_len
        self.vocab_size = VOCABULARY_SIZE

    def __call__(
        self,
        sequence: str | Sequence[str],
        *,
        return_mask: bool = False,
        add_special_tokens: bool = True,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Tokenise prompts.

        Args:
            sequence: one prompt or several.
            return_mask: return the mask of real tokens too.
            add_special_tokens: open every prompt with the start token, as training does.

        Returns:
            Ids ``(prompts, seq_len)``, int64, and with ``return_mask`` a mask of the same shape, 1 on real tokens.
            Words outside the vocabulary are left out, with a warning that names them.
        """
        prompts = [sequence] if isinstance(sequence, str) else list(sequence)
        ids = torch.full((len(prompts), self.seq_len), PAD, dtype=torch.int64)
        unknown: dict[str, list[str]] = {}
        for row, prompt in enumerate(prompts):
            found = [START] if add_special_tokens else []
            known, strange = split_words(prompt)
            if strange:
                unknown[prompt] = strange
            found = (found + [_IDS[word] for word in known])[: self.seq_len]
            ids[row, : len(found)] = torch.tensor(found, dtype=torch.int64)
        if unknown:
            names = ", ".join(repr(word) for word in dict.fromkeys(chain.from_iterable(unknown.values())))
            message = f"The small model does not know {names}: ignored. It knows the words of flowedit.tiny.vocabulary."
            warnings.warn(UnknownWordsWarning(message, tuple(unknown)), stacklevel=2)
        return (ids, (ids != PAD).long()) if return_mask else ids


def split_words(prompt: str) -> tuple[list[str], list[str]]:
    """Split a prompt into words of the vocabulary and words outside it.

    Args:
        prompt: free text; case and punctuation do not matter, plurals and common spellings are folded.

    Returns:
        Known words in order, unknown words in order.
    """
    known: list[str] = []
    unknown: list[str] = []
    for raw in re.findall(r"[a-z]+", prompt.lower()):
        word: str = SAME.get(raw, raw)
        if word not in _IDS and word.endswith("s"):
            word = SAME.get(word[:-1], word[:-1])
        if word in _IDS:
            known.append(word)
        elif raw not in GLUE:
            unknown.append(raw)
    return known, unknown


class TinyTextEncoder(nn.Module):
    """Word embedding and a few transformer layers, with the call of diffsynth's ``WanTextEncoder``."""

    def __init__(self, dim: int, size: TextSize | None = None) -> None:
        """Build an encoder whose output has ``dim`` channels."""
        super().__init__()
        size = size or TextSize()
        self.dim = dim
        self.token_embedding = nn.Embedding(VOCABULARY_SIZE, dim)
        self.position = nn.Parameter(torch.randn(1, TEXT_LENGTH, dim) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim, size.num_heads, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(size.num_layers)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode token ids.

        Args:
            ids: ``(batch, tokens)``, int64.
            mask: the same shape, 1 on real tokens; without it every token counts.

        Returns:
            ``(batch, tokens, dim)``.
        """
        x = self.token_embedding(ids) + self.position[:, : ids.shape[1]].to(self.token_embedding.weight.dtype)
        padding = None if mask is None else mask == 0
        for block in self.blocks:
            x = block(x, src_key_padding_mask=padding)
        return self.norm(x)
