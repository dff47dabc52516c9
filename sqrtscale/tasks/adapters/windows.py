"""Samples for language models: windows of equally many tokens, so that the mean over tokens is the mean over samples."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 1000  # that are tokenized at once
MASKED_SHARE = 0.15  # of the tokens of a window [Devlin et al. 2019, arXiv 1810.04805, section 3.1]
AS_MASK, AS_ANY = 0.8, 0.1  # shares of those that are replaced by the mask, or by any token; the others stay as they are
NO_TARGET = -100  # what torch's cross_entropy leaves out

Tokenize = Callable[[list[str]], Sequence[Sequence[int]]]


@dataclass(frozen=True)
class Frame:
    """What is put around windows and between documents: tokens before and after each, and one at the end of a document."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    end: int | None = None

    @property
    def size(self) -> int:
        """Tokens of a window that are no text."""
        return len(self.before) + len(self.after)


def cut_windows(texts: Sequence[str], tokenize: Tokenize, length: int, frame: Frame) -> Tensor:
    """All texts one after another, in windows of ``length`` tokens [n, length]; what is left at the end is dropped.

    A text that ends with its line, or is empty, goes on in the next one, as the lines of a file do. Any other is a document.
    """
    import torch

    tokens = array("i")
    for first in range(0, len(texts), ROWS):
        rows = list(texts[first : first + ROWS])
        for text, row in zip(rows, tokenize(rows), strict=True):
            tokens.extend(row)
            if frame.end is not None and text and not text.endswith("\n"):
                tokens.append(frame.end)
    inner = length - frame.size
    count = len(tokens) // inner
    cut = torch.tensor(tokens[: count * inner], dtype=torch.int32).view(count, inner)
    around = [torch.tensor(side, dtype=torch.int32).expand(count, -1) for side in (frame.before, frame.after)]
    return torch.cat([around[0], cut, around[1]], 1)


class Masked:
    """Windows of which some tokens are to be predicted, drawn anew for every sample by torch's generator.

    The same number in every window: the mean over the tokens that are predicted is then the mean over the windows. special:
    tokens that are never predicted; mask: what replaces a token; vocabulary: how many tokens there are.
    """

    def __init__(self, windows: Tensor, special: Sequence[int], mask: int, vocabulary: int):
        import torch

        self.windows, self.mask, self.vocabulary = windows, mask, vocabulary
        self.special = torch.tensor(special, dtype=torch.int32)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        import torch

        tokens = self.windows[place].long()
        text = torch.isin(self.windows[place], self.special, invert=True).nonzero().squeeze(1)
        count = max(1, round(MASKED_SHARE * len(tokens)))
        chosen = text[torch.randperm(len(text))[:count]]
        targets = torch.full_like(tokens, NO_TARGET)
        targets[chosen] = tokens[chosen]
        fate, other = torch.rand(len(chosen)), torch.randint(self.vocabulary, (len(chosen),))
        replaced = torch.where(fate < AS_MASK, self.mask, torch.where(fate < AS_MASK + AS_ANY, other, tokens[chosen]))
        return {"input_ids": tokens.scatter(0, chosen, replaced), "labels": targets}
