"""What a view remembers for a few seconds."""

from coinspider.daemon.database import MEMORY_SIZE, Memory


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_answer_is_computed_once_until_it_is_old():
    clock, found = Clock(), []
    memory = Memory(5, clock)

    def find():
        found.append(clock.now)
        return len(found)

    assert [memory.get("a", find), memory.get("a", find)] == [1, 1]
    assert memory.get("b", find) == 2
    clock.now = 5.0
    assert memory.get("a", find) == 3


def test_oldest_answers_are_forgotten():
    memory = Memory(5, Clock())
    for number in range(MEMORY_SIZE + 1):
        memory.get(number, lambda: 1)
    assert memory.get(0, lambda: 2) == 2
    assert memory.get(MEMORY_SIZE, lambda: 2) == 1
