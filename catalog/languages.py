"""Names of languages, from the codes that TMDB gives."""

from __future__ import annotations

from django.conf.locale import LANG_INFO

# What Django has no name for (it names those it is translated to), or TMDB spells in its own way: ISO 639-1 but
# for "cn" (Cantonese), "xx" (no speech), and the withdrawn "sh" and "mo".
_NAMES = {
    "am": "Amharic", "ay": "Aymara", "bm": "Bambara", "bo": "Tibetan", "cn": "Cantonese", "dz": "Dzongkha",
    "ff": "Fula", "fo": "Faroese", "gn": "Guarani", "gu": "Gujarati", "ha": "Hausa", "ht": "Haitian Creole",
    "iu": "Inuktitut", "jv": "Javanese", "kl": "Kalaallisut", "ku": "Kurdish", "la": "Latin", "ln": "Lingala",
    "lo": "Lao", "mg": "Malagasy", "mi": "Maori", "mo": "Moldavian", "mt": "Maltese", "no": "Norwegian",
    "ny": "Chichewa", "oc": "Occitan", "om": "Oromo", "or": "Odia", "ps": "Pashto", "qu": "Quechua",
    "rw": "Kinyarwanda", "sa": "Sanskrit", "sc": "Sardinian", "se": "Northern Sami", "sh": "Serbo-Croatian",
    "si": "Sinhala", "sm": "Samoan", "sn": "Shona", "so": "Somali", "su": "Sundanese", "tl": "Tagalog",
    "tn": "Tswana", "to": "Tongan", "wo": "Wolof", "xh": "Xhosa", "xx": "No spoken language", "yi": "Yiddish",
    "yo": "Yoruba", "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip


def language_name(code: str) -> str:
    """The language's English name; the code itself where nobody knows it, and nothing for nothing."""
    if code in _NAMES:
        return _NAMES[code]
    information = LANG_INFO.get(code, {})
    return information.get("name") or code
