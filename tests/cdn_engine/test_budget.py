"""The connections that the transfers of a process share."""

import os
import random
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdn_engine.budget import CONNECTIONS, Budget, allot

pytestmark = pytest.mark.portable

WISHES = st.lists(st.integers(1, 24), max_size=40)


@given(WISHES)
def test_nobody_gets_more_than_it_wants_or_nothing(wanted):
    allotted = allot(wanted)
    assert len(allotted) == len(wanted)
    assert all(1 <= got <= most for got, most in zip(allotted, wanted, strict=True))


@given(WISHES)
def test_connections_are_used_up_as_far_as_they_are_wanted_and_not_exceeded(wanted):
    assert sum(allot(wanted)) == min(sum(wanted), max(CONNECTIONS, len(wanted)))


@given(WISHES)
def test_nobody_could_get_more_but_from_one_that_has_no_more(wanted):
    allotted = allot(wanted)
    for got, most in zip(allotted, wanted, strict=True):
        assert got == most or max(allotted) <= got + 1


@given(WISHES)
def test_what_cannot_be_divided_evenly_goes_to_the_latest(wanted):
    unsatisfied = [got for got, most in zip(allot(wanted), wanted, strict=True) if got < most]
    assert unsatisfied == sorted(unsatisfied)


@pytest.mark.parametrize(
    ("wanted", "allotted"),
    [
        ([16], [16]),
        ([24], [16]),
        ([16] * 4, [4] * 4),
        ([16] * 3, [5, 5, 6]),
        ([16, 1, 16, 2], [6, 1, 7, 2]),
        ([16] * 64, [1] * 64),
        ([], []),
    ],
)
def test_connections_are_shared_fairly(wanted, allotted):
    assert allot(wanted) == allotted


def test_last_transfer_gets_what_the_others_have_left():
    budget = Budget()
    shares = [budget.enter() for _ in range(4)]
    assert [share.ask(16) for share in shares] == [16, 8, 6, 4]
    assert [share.ask(16) for share in shares] == [4] * 4
    for share in shares[:3]:
        share.leave()
        share.leave()
    assert shares[3].ask(16) == 16


def test_transfer_that_wants_less_leaves_the_rest_to_the_others():
    budget = Budget()
    first, second = budget.enter(), budget.enter()
    first.ask(16), second.ask(16)
    first.ask(0)
    assert (first.ask(0), second.ask(16)) == (1, 15)


def test_share_counts_from_its_first_question_on():
    budget = Budget()
    budget.enter()
    budget.enter().leave()
    assert budget.enter().ask(16) == 16


def test_sixty_four_threads_have_sixty_four_connections_in_all():
    budget = Budget()
    entered, changed = threading.Barrier(64), threading.Barrier(64)
    answers = []

    def transfer():
        share, whim = budget.enter(), random.Random(0)
        entered.wait()
        for _ in range(200):
            assert 1 <= share.ask(whim.randrange(17)) <= 16
        share.ask(16)
        changed.wait()
        answers.append(share.ask(16))
        entered.wait()
        share.leave()

    threads = [threading.Thread(target=transfer) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 64
    assert budget.enter().ask(16) == 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_child_of_a_fork_has_the_whole_budget_and_may_use_its_parents_shares():
    script = (
        "import os, sys\n"
        "from cdn_engine import budget\n"
        "share = budget.enter()\n"
        "assert (share.ask(16), budget.enter().ask(16)) == (16, 8)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert budget.enter().ask(16) == 16\n"
        "    share.leave()\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert share.ask(16) == 8\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script], check=True)
