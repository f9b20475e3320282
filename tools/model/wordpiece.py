"""Just enough of BERT's uncased tokenizer to check the model on plain sentences; the product has its own."""

import pathlib
import re
import unicodedata


class WordPiece:
    def __init__(self, vocabulary: pathlib.Path):
        words = vocabulary.read_text(encoding="utf-8").split("\n")
        self._ids = {word: index for index, word in enumerate(words) if word}

    def encode(self, text: str) -> list[int]:
        plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
        ids = [self._ids["[CLS]"]]
        for word in re.findall(r"\w+|[^\w\s]", plain.replace("_", " _ ")):
            ids += self._split(word)
        return ids + [self._ids["[SEP]"]]

    def _split(self, word: str) -> list[int]:
        pieces, begin = [], 0
        while begin < len(word):
            for end in range(len(word), begin, -1):
                piece = ("##" if begin else "") + word[begin:end]
                if piece in self._ids:
                    pieces.append(self._ids[piece])
                    begin = end
                    break
            else:
                return [self._ids["[UNK]"]]
        return pieces
