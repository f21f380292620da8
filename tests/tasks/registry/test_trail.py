"""The trail of decisions, and the line of champions that it tells."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.registry.trail import Event, champions


def events(*steps: tuple[str, int]) -> list[Event]:
    return [Event(f"2026-01-01T00:00:{i:02}", "me", action, v, None, "", "") for i, (action, v) in enumerate(steps)]


def test_each_roll_back_goes_one_champion_further_back():
    line = (("promote", 1), ("refuse", 2), ("override", 3), ("promote", 4))
    assert champions(events(*line)) == [1, 3, 4]
    assert champions(events(*line, ("rollback", 3))) == [1, 3]
    assert champions(events(*line, ("rollback", 3), ("rollback", 1))) == [1]


def test_a_version_that_was_rolled_back_can_be_promoted_again():
    assert champions(events(("promote", 1), ("promote", 2), ("rollback", 1), ("promote", 2))) == [1, 2]


def test_the_order_of_the_events_is_that_of_their_times():
    assert champions(reversed(events(("promote", 1), ("promote", 2)))) == [1, 2]


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_event_survives_its_tag(reason, text):
    event = Event("2026-01-01T00:00:00.000000Z", "me@here", "override", 7, 6, reason, text)
    assert Event.from_json(event.to_json()) == event
