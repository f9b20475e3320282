#!/usr/bin/env python3
"""Writes src/extract/models/testdata/wordpiece_golden.tsv: texts (hexadecimal bytes) and their ids from the reference tokenizer.

    pip install tokenizers && tools/tokenizer/make_golden.py .deps/models/all-minilm-l6-v2/tokenizer.json > .../wordpiece_golden.tsv
"""

import random
import sys

from tokenizers import Tokenizer

PLAIN = [
    "", " ", "\t\n\r", "Hello, world!", "The quick brown fox jumps over the lazy dog.", "don't stop-believing... (ever)", "UPPER lower MiXeD CASE",
    "unaffable unbelievableness antidisestablishmentarianism", "e-mail: someone@example.org, see https://example.org/a?b=c&d=%20#frag",
    "x86_64-linux-gnu libfoo-dev (>= 1.2.3~rc1+dfsg-4)", "int main(void) { return a[i++] * 0x7fULL; }", "$100 + €50 = £???; 3.14159e-10 ≈ π", "1,234,567.89 12:30:59 2024-02-29",
    "a" * 99, "a" * 100, "a" * 101, "word " + "b" * 200 + " word", "é" * 100, "é" * 101, "е\u0301" * 100, "x" * 5000, "[CLS] [SEP] [MASK] [PAD] [UNK]", "[cls] [Sep]", "abc[SEP]def[MASK]",
    "[[SEP]]", "[SEP", "SEP]", "##ing ##", "#hash #tag", "##", "a##b", "``quoted'' ''text''", "“curly” ‘quotes’ — dashes – and … ellipsis", "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u202fg",
    "zero\u200bwidth\u200cjoin\u200der\ufeff", "soft\u00adhyphen", "bell\x07 null\x00 esc\x1b[31m del\x7f c1\x85\x9f", "vertical\x0btab form\x0cfeed", "replacement \ufffd char",
]
SCRIPTS = [
    "Ça va très bien, merci. Où est l'hôtel ? Noël à Besançon", "Der schnelle braune Fuchs springt über den faulen Hund; Straße, STRASSE, ẞ", "El veloz murciélago hindú comía feliz cardillo y kiwi. ¿Qué? ¡Sí!",
    "Příliš žluťoučký kůň úpěl ďábelské ódy", "Zażółć gęślą jaźń", "Árvíztűrő tükörfúrógép", "Pijamalı hasta yağız şoföre çabucak güvendi. İSTANBUL ıI", "Þórður ætlaði að éta ísinn", "Съешь ещё этих мягких французских булок, да выпей чаю. ЁЙ", "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΟΔΥΣΣΕΥΣ ὀδυσσεύς",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה", "שָׁלוֹם", "نص حكيم له سر قاطع وذو شأن عظيم", "مَرْحَبًا", "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण", "நீங்கள் எப்படி இருக்கிறீர்கள்", "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า", "ສະບາຍດີ", "မင်္ဂလာပါ", "ភាសាខ្មែរ", "ქართული ენა ᲥᲐᲠᲗᲣᲚᲘ", "Հայերեն", "አማርኛ",
    "我能吞下玻璃而不伤身体。", "混合English和中文text在一起", "いろはにほへと ちりぬるを カタカナ ｶﾞｷﾞｸﾞ", "가나다라 한국어 텍스트 뷁", "ᄀ\u1161ᆨ jamo", "㍿ ㈱ ㎏ ① ½ ² ﬁ ﬂ", "𠀀𠮷𪚥𫝀𫠠", "豈更車 丽", "ＦＵＬＬ ｗｉｄｔｈ １２３！？", "〈〉「」『』【】、。・", "Việt Nam: tiếng Việt có dấu thanh", "ǅ Ǆ ǆ ŉ ﬀ", "Ω Å K Ω Å",
]
MARKS = [
    "cafe\u0301 e\u0301\u0327 \u0327\u0301e", "Z͑ͫ̓a̴l̵g̶o̷ t̸e̡x̢t̛", "n\u0303 N\u0303 ñ Ñ", "\u0301start", "a\u20ddb a\u20e3", "1\ufe0f\u20e3", "क\u093cख़", "\u302a\u302e한", "𝅘𝅥𝅮 𝄞", "ᾳ ᾴ ᾼ ΐ ΰ", "≠ ≮ ≯ ; · `",
    "😀 smile 😃😄", "👨‍👩‍👧‍👦 family", "👍🏽 thumbs 🇩🇪🇫🇷 flags", "🤌 pinched 🫠 melting 🪿 goose", "☃ ☂ ★ ✓ ✗ → ⇒ ∀x∈ℝ ∃y", "♠♥♦♣ ©®™ §¶†‡", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\U000e0001 tag \U0010ffff end \ue000 private", "𝒜𝓁𝓅𝒽𝒶 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚", "𐐀𐐨 Deseret 𐌰 Gothic 𒀀", "\u0378 unassigned \U0001fb00", "⸘ ⹂ ⹅ ⹒ ꩷ ፝ ᰻ ؝ ੶ ౷",
]
DAMAGED = [
    b"caf\xe9 latin1", b"\xff\xfe\xfd", b"a\x80b", b"\xe2\x82 cut", b"\xe2\x28\xa1", b"\xf0\x9f\x98", b"\xed\xa0\x80 surrogate", b"\xc0\xaf overlong", b"\xf4\x90\x80\x80 beyond", b"ok \xf0\x28\x8c\xbc ok", b"\xef\xbf\xbd", b"[S\xffEP]",
]
WORDS = "the of and to in is search engine vector memory köln naïve façade résumé 東京 москва don't re-run foo_bar C++ 42nd 3.5mm hyper-parameter tokenization".split()


def random_texts(rng: random.Random):
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00), (0x1E00, 0x2400), (0x3000, 0x3200), (0x4E00, 0x4F00), (0xAC00, 0xAD00), (0xF900, 0xFB00), (0x1F300, 0x1F700), (0, 0x110000)]
    for _ in range(60):
        picked = [rng.choice(blocks) for _ in range(rng.randint(1, 4))]
        points = [rng.randrange(*rng.choice(picked)) for _ in range(rng.randint(1, 60))]
        yield "".join(chr(c) if not 0xD800 <= c < 0xE000 else " " for c in points).encode()
    for _ in range(30):
        yield " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 80))).encode()
    for _ in range(15):
        yield bytes(rng.randrange(256) for _ in range(rng.randint(1, 60)))


def main() -> None:
    tokenizer = Tokenizer.from_file(sys.argv[1])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = [text.encode() for text in PLAIN + SCRIPTS + MARKS] + DAMAGED + list(random_texts(random.Random(20240229)))
    for raw in texts:
        ids = tokenizer.encode(raw.decode("utf-8", "replace"), add_special_tokens=False).ids
        print(raw.hex(), " ".join(map(str, ids)), sep="\t")


if __name__ == "__main__":
    main()
