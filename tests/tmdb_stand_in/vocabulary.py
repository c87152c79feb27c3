"""What invented films are made of: TMDB's 19 film genres with words typical of each, names, places, languages.

The ids and the German and French names of genres are TMDB's own; every sentence is made up.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GenreWords:
    """A genre's names by language, nouns for titles, sentences for overviews, and the hue of its posters in degrees."""

    english: str
    german: str
    french: str
    hue: int
    nouns: tuple[str, ...]
    sentences: tuple[str, ...]


GENRES: dict[int, GenreWords] = {
    28: GenreWords("Action", "Action", "Action", 12, ("Strike", "Convoy", "Overdrive", "Last Stand"), (
        "Former commando {name} has one night to fight a way out of {place} before the bombs go off.",
        "When mercenaries seize the harbour of {place}, {name} answers with fists, fast cars and gunfire.",
        "A betrayed agent, {name}, hunts the arms dealer who left a whole squad for dead near {place}.",
    )),
    12: GenreWords("Adventure", "Abenteuer", "Aventure", 95, ("Expedition", "Map", "Island", "Voyage"), (
        "{name} follows a torn map through jungle and river to the lost temple of {place}.",
        "An expedition led by {name} sets sail from {place} in search of a treasure no one has seen.",
        "Stranded beyond the mountains of {place}, {name} and a stubborn guide must cross an unknown land.",
    )),
    16: GenreWords("Animation", "Animation", "Animation", 50, ("Hedgehog", "Balloon", "Tiny Kingdom", "Kite"), (
        "In a hand-drawn world of talking animals, the little hedgehog {name} dreams of flying over {place}.",
        "{name}, a toy robot with a squeaky wheel, rolls out of the shop window of {place} to find a friend.",
        "The magical crayons of {place} bring everything {name} draws to cheerful, singing life.",
    )),
    35: GenreWords("Comedy", "Komödie", "Comédie", 45, ("Wedding", "Roommates", "Mix-up", "Holiday"), (
        "Hopeless best man {name} loses the rings, the groom and a borrowed llama on the way to {place}.",
        "{name} pretends to be a famous chef, and the hilarious lie gets out of hand at a hotel in {place}.",
        "Two bickering roommates from {place}, {name} and a failed magician, inherit the same tiny flat.",
    )),
    80: GenreWords("Crime", "Krimi", "Crime", 215, ("Heist", "Informer", "Safecracker", "Alibi"), (
        "Detective {name} goes undercover among the gangsters who run the docks of {place}.",
        "Safecracker {name} agrees to a last bank robbery in {place}, and somebody talks to the police.",
        "After a murder in {place}, a corrupt inspector frames {name}, the mob's own bookkeeper.",
    )),
    99: GenreWords("Documentary", "Dokumentarfilm", "Documentaire", 190, ("Archive", "Portrait", "Harvest", "Tides"), (
        "This documentary follows the fishermen of {place} through one year, told in interviews and archive footage.",
        "Filmmaker {name} looks at how the people of {place} live with a river that floods each spring.",
        "With rare footage and interviews, {name} tells the real history of the railway workers of {place}.",
    )),
    18: GenreWords("Drama", "Drama", "Drame", 28, ("Winter", "Silence", "Daughter", "House"), (
        "After the death of a brother, {name} returns to {place} and to a family that has not spoken for years.",
        "A struggling teacher in {place}, {name} learns of an illness and has to decide what to tell the children.",
        "{name} leaves prison and tries to win back the trust of a grown daughter in {place}.",
    )),
    10751: GenreWords("Family", "Familie", "Familial", 60, ("Puppy", "Treehouse", "Grandpa", "Summer Camp"), (
        "Ten-year-old {name} and a runaway puppy save the old treehouse of {place} with the whole family's help.",
        "When grandma moves in, the children of the {name} family plan the best Christmas {place} ever had.",
        "A shy kid named {name} finds a friendly seal on the beach of {place} and keeps it in the bathtub.",
    )),
    14: GenreWords("Fantasy", "Fantasy", "Fantastique", 275, ("Dragon", "Spell", "Crown", "Witchwood"), (
        "The young witch {name} must wake the last dragon before the sorcerer of {place} breaks the spell.",
        "A cursed sword leads {name} through an enchanted forest to the throne of the elves of {place}.",
        "Behind an old mirror {name} discovers {place}, a kingdom of giants, magic and a missing queen.",
    )),
    36: GenreWords("History", "Historie", "Histoire", 38, ("Treaty", "Empire", "Regent", "Uprising"), (
        "In 1642 the young regent {name} must hold the crown of {place} against parliament and cousins alike.",
        "The true uprising of the weavers of {place} is seen through the eyes of {name}, their reluctant leader.",
        "As an empire falls, ambassador {name} carries the treaty that decides the fate of {place}.",
    )),
    27: GenreWords("Horror", "Horror", "Horreur", 0, ("Cellar", "Haunting", "Whisperer", "Grave"), (
        "Something in the cellar of the house in {place} whispers the name of {name} every night at three.",
        "A haunted asylum, a vengeful ghost and a blood-red moon: of the students who enter with {name}, few come out.",
        "{name} wakes a demon buried below {place}, and the dead begin to walk among the terrified villagers.",
    )),
    10402: GenreWords("Music", "Musik", "Musique", 305, ("Chorus", "Encore", "Rhythm", "Piano"), (
        "Singer {name} and a washed-up band from {place} get one last concert and one new song.",
        "A gifted pianist, {name} gives up the conservatory of {place} to play jazz in a smoky club.",
        "On tour through {place}, the rock musician {name} records the album that nobody wanted.",
    )),
    9648: GenreWords("Mystery", "Mystery", "Mystère", 240, ("Clue", "Vanishing", "Cipher", "Locked Room"), (
        "A girl vanishes from a locked room in {place}, and the only clue {name} finds is an old cipher.",
        "Private investigator {name} uncovers a secret that links five strange disappearances near {place}.",
        "{name} wakes without a memory in {place}; every witness tells another story of that night.",
    )),
    10749: GenreWords("Romance", "Liebesfilm", "Romance", 340, ("Letter", "Kiss", "Springtime", "Promise"), (
        "{name} falls in love with a stranger on the night train to {place} and has only a letter to find them.",
        "Two florists in {place}, rivals for years, are brought together by {name} and a wedding neither wants.",
        "{name} is engaged, until a first love comes back to {place} for a single summer.",
    )),
    878: GenreWords("Science Fiction", "Science Fiction", "Science-Fiction", 170, ("Orbit", "Android", "Colony", "Signal"), (
        "On a space station above {place}, engineer {name} picks up a signal from a ship lost a century ago.",
        "In the year 2191 the android {name} escapes from {place} with the memory of a planet that is gone.",
        "A scientist, {name}, opens a gate to a parallel Earth where aliens have ruled {place} for decades.",
    )),
    10770: GenreWords("TV Movie", "TV-Film", "Téléfilm", 120, ("Bakery", "Neighbour", "Snowfall", "Second Chance"), (
        "Busy lawyer {name} goes home to {place} for the holidays and is asked to save the town's bakery.",
        "A new neighbour in {place} seems perfect, but {name} begins to doubt every word she says.",
        "Snowed in at an inn in {place}, {name} has three days to plan the winter festival.",
    )),
    53: GenreWords("Thriller", "Thriller", "Thriller", 200, ("Hostage", "Countdown", "Witness", "Wiretap"), (
        "A caller gives {name} sixty minutes to find a hostage in {place}, and forbids the police.",
        "{name} witnesses an assassination in {place} and is hunted by a killer who knows every step.",
        "Translator {name} overhears a conspiracy in {place}, and the deadly game of cat and mouse begins.",
    )),
    10752: GenreWords("War", "Kriegsfilm", "Guerre", 80, ("Regiment", "Trench", "Bridgehead", "Armistice"), (
        "Cut off behind enemy lines, Lieutenant {name} and nine soldiers must hold the bridge of {place}.",
        "A nurse, {name}, stays in the besieged town of {place} while the army retreats.",
        "In the trenches before {place}, {name} receives the order that will send the whole platoon over the top.",
    )),
    37: GenreWords("Western", "Western", "Western", 22, ("Saddle", "Sheriff", "Canyon", "Gunslinger"), (
        "Aging sheriff {name} rides into {place} to face the outlaws who burned the ranch.",
        "A gunslinger called {name} defends the settlers of {place} against a cattle baron.",
        "{name} tracks a stolen herd across the desert and finds {place} ruled by a bounty hunter.",
    )),
}  # fmt: skip

ADJECTIVES = (
    *(
        "Amber",
        "Borrowed",
        "Broken",
        "Burning",
        "Crooked",
        "Distant",
        "Forgotten",
        "Gilded",
        "Hollow",
        "Idle",
    ),
    *("Last", "Long", "Narrow", "Northern", "Paper", "Patient", "Quiet", "Restless", "Scarlet", "Second"),
    *("Seventh", "Silver", "Stubborn", "Unlikely", "Wandering"),
)
NAMES = (
    *(
        "Adil",
        "Agnes",
        "Bruno",
        "Carys",
        "Dario",
        "Edda",
        "Farah",
        "Gideon",
        "Hedda",
        "Imre",
        "Jonna",
        "Kaspar",
    ),
    *(
        "Lior",
        "Maren",
        "Nadim",
        "Odile",
        "Petra",
        "Quentin",
        "Rosa",
        "Soren",
        "Tamsin",
        "Ulla",
        "Viggo",
        "Wanda",
    ),
)
PLACES = (
    *(
        "Ardenholm",
        "Brackwater",
        "Calder Point",
        "Dunmarrow",
        "Eastmere",
        "Fallowgate",
        "Grauwald",
        "Hollin Bay",
    ),
    *(
        "Isenbruck",
        "Jorvale",
        "Karsten Ridge",
        "Lomondsey",
        "Marisol",
        "Nettlecombe",
        "Oskarshamm",
        "Port Halver",
    ),
    *("Quillan", "Rookhaven", "San Telmo Alto", "Tarn Hollow", "Umberleigh", "Vessel Rock", "Wintersend"),
)
TAGLINES = (
    "{place} will never be the same.",
    "Some doors open only once.",
    "Ask {name}.",
    "Nobody said it would be easy.",
    "Everything has its {noun}.",
)

# ISO 639-1 code: (English name, own name, country, its name, pattern of an original title, share of films in it).
LANGUAGES: dict[str, tuple[str, str, str, str, str, float]] = {
    "en": ("English", "English", "US", "United States of America", "", 0.60),
    "fr": ("French", "Français", "FR", "France", "Le Secret de {place}", 0.08),
    "de": ("German", "Deutsch", "DE", "Germany", "Das Rätsel von {place}", 0.07),
    "es": ("Spanish", "Español", "ES", "Spain", "La noche de {place}", 0.07),
    "it": ("Italian", "Italiano", "IT", "Italy", "La città di {place}", 0.05),
    "ja": ("Japanese", "日本語", "JP", "Japan", "{name}の物語", 0.07),
    "ko": ("Korean", "한국어/조선말", "KR", "South Korea", "{name}의 노래", 0.06),
}

# Languages that films are translated to: title, overview, tagline.
TRANSLATED: dict[str, tuple[str, str, str]] = {
    "de": (
        "{name} und das Geheimnis von {place}",
        "In {place} gerät {name} in eine Geschichte, die niemand kommen sah. Genre: {genre}.",
        "{place} wird nie mehr dasselbe sein.",
    ),
    "fr": (
        "{name} et le secret de {place}",
        "À {place}, {name} est mêlé à une histoire que personne n'attendait. Genre : {genre}.",
        "{place} ne sera plus jamais pareil.",
    ),
}
