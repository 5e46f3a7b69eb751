"""A vocabulary of one's own: WordPiece, trained on any texts, as a tokenizer of transformers.

It begins with single characters and joins, again and again, the two neighbouring pieces that stand together most often,
until the vocabulary has its size. That is byte-pair encoding (Sennrich, Haddow and Birch 2016), by which the library
`tokenizers` trains word pieces; WordPiece as first described (Schuster and Nakajima 2012; Wu et al. 2016, section 4.1)
joins the two that make the texts most probable, and the program that made BERT's list was never published. The pieces are
used in the same way. Before that comes what BERT does: lower case, accents off, blanks around every Chinese character,
words split at blanks and punctuation.

Chinese characters stand alone by that, so each is one piece, and pieces such as "##中", for one within a word, are not
learned. BERT's own Chinese vocabulary has them, 7,321 of its 21,128 pieces, and its tokenizer never gives one: a third
of that embedding table is not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from course_lib.errors import DataError

if TYPE_CHECKING:
    from transformers import BertTokenizer

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
MAX_LENGTH = 512
LONGEST_WORD = 100  # characters; the tokenizer makes a longer word [UNK], as BERT's does
_HELD = 5_000_000  # characters of text that are held at once


def train_wordpiece(
    texts: Iterable[str],
    size: int,
    *,
    lowercase: bool = True,
    alphabet: float = 0.9999,
    min_count: int = 2,
    max_length: int = MAX_LENGTH,
) -> BertTokenizer:
    """Return a BERT tokenizer whose vocabulary of `size` pieces was learned from texts.

    Args:
        texts: gone through once; a stream is fine. The same texts give the same vocabulary, in any order.
        size: pieces, the five special ones ([PAD] [UNK] [CLS] [SEP] [MASK], ids 0 to 4) included; fewer where nothing
            is left to join.
        lowercase: as in the uncased BERT: lower case, and accents taken off.
        alphabet: the share of all characters that shall have a piece. The rarest ones, beyond it, become [UNK], and
            take no row of the embedding table; ASCII is always kept.
        min_count: how often two pieces must stand together to be joined.
        max_length: tokens beyond which the tokenizer warns and truncates, the rows of the position embedding.

    Raises:
        DataError: no texts, or a size that does not hold the special pieces and the alphabet.
        ValueError: alphabet is not above 0 and at most 1, or min_count is below 1.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertTokenizer

    if not 0 < alphabet <= 1:
        raise ValueError(f"alphabet is {alphabet}; a share above 0 and at most 1 is expected, such as 0.9999.")
    if min_count < 1:
        raise ValueError(f"min_count is {min_count}; two pieces stand together at least once.")
    words = _count_words([texts] if isinstance(texts, str) else texts, lowercase)
    if not words:
        raise DataError("There are no texts to learn a vocabulary from; give some, with at least one word.")
    kept = _alphabet(words, alphabet)
    # A piece for a character that begins a word, and one with "##" where it stands within. Chinese characters are words.
    inner = {c for word in words for c in word[1:] if c in kept}
    needed = len(SPECIALS) + len(kept) + len(inner)
    if size < needed:
        raise DataError(
            f"A vocabulary of {size:,} does not hold the {len(SPECIALS)} special pieces and the characters of the texts "
            f"({needed - len(SPECIALS):,} pieces); ask for {needed:,} or more, or for fewer characters (alphabet={alphabet})."
        )
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_count,
        # Left to itself the trainer numbers "##a", "##b" by a hash that is another one each time, and breaks ties by
        # number: the same texts would give another vocabulary.
        special_tokens=[*SPECIALS, *sorted(kept), *(f"##{c}" for c in sorted(inner))],
        initial_alphabet=sorted(kept),
        limit_alphabet=len(kept),
        show_progress=False,
    )
    trained.train_from_iterator(_repeated(words, kept), trainer)
    vocabulary = dict(sorted(trained.get_vocab().items(), key=lambda item: item[1]))
    return BertTokenizer(vocab=vocabulary, do_lower_case=lowercase, model_max_length=max_length)


def _count_words(texts: Iterable[str], lowercase: bool) -> Counter[str]:
    """Return how often each word stands in the texts, as BERT's tokenizer splits them before any vocabulary."""
    from tokenizers import normalizers, pre_tokenizers

    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    splitter = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    between: Counter[str] = Counter()  # what stands between blanks: most of it often, so that it is split once

    held = 0

    def split() -> None:
        for piece, count in between.items():
            for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(piece)):
                if len(word) <= LONGEST_WORD:
                    words[word] += count
        between.clear()

    for text in texts:
        between.update(text.split())
        held += len(text)
        if held > _HELD:
            split()
            held = 0
    split()
    return words


def _alphabet(words: Counter[str], share: float) -> set[str]:
    """Return the commonest characters that make up a share of all, and what of ASCII occurs."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    wanted, reached, kept = share * characters.total(), 0, set()
    for character, count in sorted(characters.items(), key=lambda item: (-item[1], item[0])):
        if reached < wanted or character.isascii():
            kept.add(character)
        reached += count
    return kept


def _repeated(words: Counter[str], kept: set[str]) -> Iterator[str]:
    """Go through the words as often as they stand in the texts, without those that have a rare character."""
    for word in sorted(words):
        if kept.issuperset(word):
            for start in range(0, words[word], 10_000):
                yield " ".join([word] * min(10_000, words[word] - start))
