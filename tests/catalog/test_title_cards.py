"""Title cards: legible, complete and always the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.title_cards import HEIGHT, PALETTES, WIDTH, title_card, width
from tests.catalog.contrast import contrast


@pytest.mark.parametrize("palette", PALETTES)
def test_lettering_reads_on_ground_and_motif(palette: tuple[str, str, str]) -> None:
    ground, shade, ink = palette
    assert contrast(ink, ground) >= 4.5
    assert contrast(ink, shade) >= 4.5


def test_a_film_keeps_its_card_and_namesakes_differ_in_more_than_nothing() -> None:
    assert title_card("Solaris", number=7) == title_card("Solaris", number=7)
    cards = {(card.ground, card.motif) for card in (title_card("Solaris", number=n) for n in range(20))}
    assert len(cards) > 5


@given(st.text(min_size=1, max_size=500), st.integers(min_value=0))
def test_any_title_fits(title: str, number: int) -> None:
    card = title_card(title, number=number)
    assert len(card.lines) <= 6
    assert all(line.y < HEIGHT - 30 for line in card.lines)
    assert all(18 + width(line.text) * card.size <= WIDTH for line in card.lines)


def test_a_short_title_is_whole() -> None:
    card = title_card("The Good, the Bad and the Ugly", number=1)
    assert " ".join(line.text for line in card.lines) == "The Good, the Bad and the Ugly"


def test_one_endless_word_is_cut_and_says_so() -> None:
    card = title_card("A" * 400, number=1)
    assert card.lines[-1].text.endswith("…")


@pytest.mark.parametrize(
    "title", ["KPop Demon Hunters", "WWW", "MMMMMMMM", "千と千尋の神隠し", "Всё будет хорошо"]
)
def test_wide_letters_get_the_room_that_they_take(title: str) -> None:
    card = title_card(title, number=1)
    assert all(width(line.text) * card.size <= WIDTH - 36 for line in card.lines)
    assert "".join(line.text for line in card.lines).replace(" ", "") == title.replace(" ", "")


def test_narrow_letters_are_set_larger_than_wide_ones() -> None:
    assert title_card("Illiill", number=1).size > title_card("MWMWMWM", number=1).size
