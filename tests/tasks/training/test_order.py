"""The order of blocks."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.training.order import DataOrder


@given(st.integers(1, 50), st.integers(1, 16), st.integers(0, 3))
def test_every_epoch_holds_each_block_exactly_once(num_blocks, batch_blocks, seed):
    order = DataOrder(num_blocks, batch_blocks=batch_blocks, seed=seed)
    epochs = 3
    steps = -(-epochs * num_blocks // batch_blocks)
    drawn = [index for step in range(steps) for index in order.batch(step).tolist()]
    for epoch in range(epochs):
        assert sorted(drawn[epoch * num_blocks : (epoch + 1) * num_blocks]) == list(range(num_blocks))


def test_a_step_draws_the_same_blocks_whatever_was_drawn_before():
    walked = DataOrder(7, batch_blocks=3, seed=1)
    batches = [walked.batch(step).tolist() for step in range(20)]
    assert DataOrder(7, batch_blocks=3, seed=1).batch(13).tolist() == batches[13]


def test_epochs_differ_in_their_order():
    order = DataOrder(64, batch_blocks=64, seed=1)
    assert order.batch(0).tolist() != order.batch(1).tolist()
