"""What is spoken when the user brings no text: public sentences with a stated source.

English: Harvard sentences, list 1 (IEEE Recommended Practice for Speech Quality Measurements, 1969).
Other languages: Universal Declaration of Human Rights, article 1 (United Nations).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from xttsbench.settings import LANGUAGES, unknown
from xttsbench.spec import Text

HARVARD = (
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.",
    "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.",
    "The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us.",
    "A large size in stockings is hard to sell.",
)
ARTICLE_1 = {
    "es": (
        "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
        "Dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.",
    ),
    "fr": (
        "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
        "Ils sont doués de raison et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    ),
    "de": (
        "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
        "Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geiste der Brüderlichkeit begegnen.",
    ),
    "it": (
        "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti.",
        "Essi sono dotati di ragione e di coscienza e devono agire gli uni verso gli altri in spirito di fratellanza.",
    ),
    "pt": (
        "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
        "Dotados de razão e de consciência, devem agir uns para com os outros em espírito de fraternidade.",
    ),
    "pl": (
        "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
        "Są oni obdarzeni rozumem i sumieniem i powinni postępować wobec innych w duchu braterstwa.",
    ),
    "tr": (
        "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
        "Akıl ve vicdana sahiptirler ve birbirlerine karşı kardeşlik zihniyeti ile hareket etmelidirler.",
    ),
    "ru": (
        "Все люди рождаются свободными и равными в своем достоинстве и правах.",
        "Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства.",
    ),
    "nl": (
        "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren.",
        "Zij zijn begiftigd met verstand en geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen.",
    ),
    "cs": (
        "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
        "Jsou nadáni rozumem a svědomím a mají spolu jednat v duchu bratrství.",
    ),
    "ar": (
        "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق.",
        "وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء.",
    ),
    "zh-cn": ("人人生而自由，在尊严和权利上一律平等。", "他们赋有理性和良心，并应以兄弟关系的精神相对待。"),
    "hu": (
        "Minden emberi lény szabadon születik és egyenlő méltósága és joga van.",
        "Az emberek, ésszel és lelkiismerettel bírván, egymással szemben testvéri szellemben kell hogy viseltessenek.",
    ),
    "ko": (
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
        "인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
    ),
    "ja": (
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
        "人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
    ),
    "hi": (
        "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
        "उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    ),
}
TEXTS = (
    Text("short", "en", HARVARD[0]),
    Text("medium", "en", " ".join(HARVARD[1:4])),
    Text("long", "en", " ".join(HARVARD)),
    *(Text("short", language, first) for language, (first, _) in ARTICLE_1.items()),
    *(Text("medium", language, f"{first} {second}") for language, (first, second) in ARTICLE_1.items()),
)
NAMES = ("short", "medium", "long")


def shipped(names: tuple[str, ...], languages: tuple[str, ...]) -> tuple[Text, ...]:
    """Return the shipped texts of these names in these languages; ValueError where one does not exist."""
    for name in names:
        if name not in NAMES:
            raise unknown("text", name, NAMES)
    for language in languages:
        if language not in LANGUAGES:
            raise unknown("language", language, LANGUAGES)
    held = {(t.name, t.language): t for t in TEXTS}
    wanted = [(n, code) for code in languages for n in names]
    missing = [pair for pair in wanted if pair not in held]
    if missing:
        listed = ", ".join(f"{name}/{language}" for name, language in missing)
        raise ValueError(
            f"no such text ships: {listed}; 'long' is English only: leave it out or bring your own by --texts-file."
        )
    return tuple(held[pair] for pair in wanted)


def typed(words: Sequence[str], *, language: str) -> tuple[Text, ...]:
    """Return texts that were typed, named own-01, own-02, ...

    Examples
    --------
    >>> [text.name for text in typed(["How soon?", "Does it keep up?"], language="en")]
    ['own-01', 'own-02']
    """
    return tuple(Text(f"own-{i:02}", language, text) for i, text in enumerate(words, 1))


def from_file(path: str, *, language: str) -> tuple[Text, ...]:
    """Read texts: a JSON list of {name, language, text}, or plain lines, each a text in `language`.

    Raises
    ------
    ValueError
        If the file is missing, empty or not UTF-8, or an entry is not a text.
    """
    file = Path(path)
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"texts file {path!r} can't be read ({error}); give a UTF-8 file.") from error
    if file.suffix == ".json":
        try:
            texts = [Text(d["name"], d.get("language", language), d["text"]) for d in json.loads(content)]
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"texts file {path!r} is not a JSON list of objects with name and text ({error!r})."
            ) from error
    else:
        lines = [line.strip() for line in content.splitlines() if line.strip()]
        texts = [Text(f"{file.stem}-{i:02}", language, line) for i, line in enumerate(lines, 1)]
    if not texts:
        raise ValueError(
            f"texts file {path!r} is empty; give a text a line, or a JSON list of objects with name and text."
        )
    if len({(t.name, t.language) for t in texts}) < len(texts):
        raise ValueError(f"texts file {path!r} uses a name twice; names tell texts apart in tables.")
    return tuple(texts)
