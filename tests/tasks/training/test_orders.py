"""Orders to a running job."""

import pytest
from pydantic import ValidationError

from tasks.training.orders import Order, OrderBook


def test_orders_are_read_once_and_in_the_order_in_which_they_were_given(tmp_path):
    book, reader = OrderBook(tmp_path / "runs" / "a.orders"), OrderBook(tmp_path / "runs" / "a.orders")
    assert reader.read_new() == []
    given = [Order(do="pause", reason="床前明月光\nsecond line"), Order(do="set", stop={"max_steps": 5}, lr_scale=0.5)]
    for order in given:
        book.give(order)
    assert reader.read_new() == given
    assert reader.read_new() == []
    book.give(Order(do="continue"))
    assert reader.read_new() == [Order(do="continue")]


def test_a_line_that_is_not_finished_is_left_for_later(tmp_path):
    path = tmp_path / "a.orders"
    path.write_text('{"do": "save"}\n{"do": "st')
    reader = OrderBook(path)
    assert reader.read_new() == [Order(do="save")]
    with path.open("a") as file:
        file.write('op"}\n')
    assert reader.read_new() == [Order(do="stop")]


def test_what_was_asked_before_training_began_is_passed_over(tmp_path):
    book = OrderBook(tmp_path / "a.orders")
    assert book.skip() == 0
    book.give(Order(do="pause"))
    size = book.skip()
    book.give(Order(do="save"))
    assert OrderBook(book.path).start_at(size).read_new() == [Order(do="save")]


@pytest.mark.parametrize("wrong", [{"do": "dance"}, {"do": "set", "lr_scale": 0}, {"do": "set", "batch": 3}])
def test_an_order_that_nobody_can_obey_is_refused(wrong):
    with pytest.raises(ValidationError):
        Order.model_validate(wrong)
