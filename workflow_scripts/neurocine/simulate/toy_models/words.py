"""Tokenizers of the toy world, CLIP's byte-pair and BLIP's word-piece; caption words are whole tokens."""

import re

from transformers import BertTokenizer, CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from neurocine.simulate.world import BACKGROUNDS, COLOURS, DIRECTIONS, SHAPES, Scene

CLIP_TOKENS = 12  # longest caption (7 words) with start, end and some room


def caption_words() -> list[str]:
    """All words that captions of the toy world hold, in alphabetical order."""
    captions = [
        Scene(shape=shape, colour=colour, direction=direction, background=background).caption
        for shape in SHAPES
        for colour in COLOURS
        for direction in DIRECTIONS
        for background in BACKGROUNDS
    ]
    return sorted(set(re.findall(r"\w+", " ".join(captions))))


def clip_tokenizer() -> CLIPTokenizer:
    """Make CLIP's byte-level byte-pair tokenizer; words outside the toy world fall back to characters."""
    characters = list(bytes_to_unicode().values())
    tokens = characters + [character + "</w>" for character in characters]
    merges: list[tuple[str, str]] = []
    for word in caption_words():
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            if pair not in merges:
                merges.append(pair)
            joined = "".join(pair)
            if joined not in tokens:
                tokens.append(joined)
            parts = [joined, *parts[2:]]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CLIP_TOKENS)  # type: ignore[arg-type]


def blip_tokenizer() -> BertTokenizer:
    """Make BLIP's word-piece tokenizer; [DEC] starts a caption, [SEP] ends it."""
    letters = [chr(number) for number in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters)]
    tokens += [word for word in caption_words() if word not in tokens] + ["[DEC]", "[ENC]"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = BertTokenizer(vocab=vocabulary, bos_token="[DEC]", additional_special_tokens=["[ENC]"])
    tokenizer.model_max_length = 16
    return tokenizer
