"""Lists on both databases: what a filter lets through and in which order, tags, and filters that were given a name."""

import pytest

from sqrtscale.plan import make_plan
from sqrtscale.rules import FieldError, TrainingConfig
from sqrtscale.store import ACTIVE_STATES, ORDERS, Filter, NotFound, Result
from sqrtscale.tasks import OwnFile, remember
from sqrtscale.tasks.own import Facts


def created(store, name="", *, optimizer="adam", lr=1e-3, target=64, task="digits"):
    return store.create(make_plan(task, TrainingConfig(optimizer, 8, {"lr": lr}), target, seeds=1, samples=640), name)


def listed(store, *given, **chosen):
    return [summary.id for summary in store.summaries(Filter(*given, **chosen))]


@pytest.fixture
def three(store):
    """Created in this order: kappa 8, 2, 4."""
    ids = (created(store, "beta"), created(store, optimizer="rmsprop", lr=4e-3, target=16),
           created(store, "Alpha", lr=2e-3, target=32, task="pydoc"))
    store.set_verdict(ids[0], Result("matches", "Yes", 0.01, -0.02, 0.04, 0.05, 300.0, 200.0, float("inf"), (0.1, -0.25)))
    store.set_verdict(ids[2], Result("differs", "No", -0.3, -0.4, -0.2, 0.05, 900.0, 200.0, 990.0))
    return ids


@pytest.mark.parametrize("order, places", [
    ("newest", (2, 1, 0)), ("oldest", (0, 1, 2)), ("name", (2, 0, 1)), ("kappa", (0, 2, 1)), ("lr", (1, 2, 0)),
    ("difference", (2, 0, 1)), ("noise scale", (2, 0, 1)),
])
def test_every_order_with_the_largest_first_and_nothing_last(store, three, order, places):
    assert listed(store, order=order) == [three[place] for place in places]


def test_versions_of_a_users_own_task_are_found_together_or_one_by_one(store, three):
    texts = ['"""A."""\ndef model(): ...\ndef data(split): ...\ndef loss(model, batch): ...\n' + "#" * i for i in range(2)]
    keys = [remember(OwnFile(name, f"/{name}.py", text, Facts(3, 100, 10))).name
            for name, text in (("my_rows", texts[0]), ("my_rows", texts[1]), ("My_rows", texts[0]), ("myXrows", texts[0]))]
    ids = [created(store, target=16, task=key) for key in keys]
    assert listed(store, tasks=("my_rows@",)) == [ids[1], ids[0]]
    assert listed(store, tasks=(keys[1],)) == [ids[1]] and listed(store, tasks=("my_rows",)) == []
    assert listed(store, tasks=("My_rows@", "pydoc")) == [ids[2], three[2]]


def test_every_order_is_tested_and_another_is_refused():
    (marker,) = test_every_order_with_the_largest_first_and_nothing_last.pytestmark
    assert {case[0] for case in marker.args[1]} == set(ORDERS)
    with pytest.raises(FieldError, match="order = 'age' is no order of a list: give one of newest, oldest"):
        Filter(order="age")


def test_a_row_has_what_lists_show(store, three):
    row = store.summaries(Filter(order="oldest"))[0]
    assert row.result == Result("matches", "Yes", 0.01, -0.02, 0.04, 0.05, 300.0, 200.0, float("inf"), (0.1, -0.25))
    assert (row.kappa, row.lr, row.scaled_lr) == (8, 1e-3, pytest.approx(1e-3 * 8**0.5, rel=1e-15))
    assert store.get(three[0]).result == row.result
    assert store.get(three[1]).result == store.summaries()[1].result == Result()


@pytest.mark.parametrize("chosen, places", [
    (dict(optimizers=("rmsprop",)), (1,)), (dict(optimizers=("rmsprop", "adam")), (2, 1, 0)), (dict(tasks=("pydoc",)), (2,)),
    (dict(kappa=(2.0, 4.0)), (2, 1)), (dict(kappa=(4.5, float("inf"))), (0,)), (dict(kappa=(0.0, 1.9)), ()),
    (dict(outcomes=("matches", "differs"), kappa=(0.0, 4.0)), (2,)), (dict(limit=2), (2, 1)),
])
def test_filters_by_optimizer_task_kappa_and_outcome(store, three, chosen, places):
    assert listed(store, **chosen) == [three[place] for place in places]
    assert store.count(Filter(**chosen)) == (3 if "limit" in chosen else len(places))


def test_tags_hang_on_many_are_found_and_come_off(store, three):
    first, second, third = three
    store.tag([first, third], "  to   keep ", "Ablation\0")
    store.tag([first, "gone"], "to keep", "best")  # one that is there already, and one that nobody has
    assert store.tags_of(first) == ("Ablation", "best", "to keep") and store.tags_of(second) == ()
    assert {row.id: row.tags for row in store.summaries()} == {
        first: store.tags_of(first), second: (), third: ("Ablation", "to keep")}
    assert store.tags() == {"Ablation": 2, "to keep": 2, "best": 1}
    assert listed(store, tags=("to keep",)) == [third, first] and listed(store, tags=("to keep", "best")) == [first]
    assert listed(store, "O KEE") == [third, first] and listed(store, tags=("nobody's",)) == []
    store.untag([first, second], "to keep", "best")
    assert store.tags() == {"Ablation": 2, "to keep": 1} and store.tags_of(first) == ("Ablation",)
    store.transition(third, "DONE", among=ACTIVE_STATES)
    store.delete(third)
    assert store.purge() == [third] and store.tags() == {"Ablation": 1}


@pytest.mark.parametrize("tag", ["", " \0 ", "x" * 41])
def test_a_tag_that_is_none_is_refused(store, three, tag):
    with pytest.raises(FieldError, match="is no tag: give 1 to 40 characters"):
        store.tag([three[0]], "good", tag)
    assert store.tags() == {}
    with pytest.raises(NotFound):
        store.tag(["gone"], "good")


def test_filters_are_kept_by_name_replaced_and_forgotten(store):
    store.save_filter(" what  differs ", "outcomes=differs")
    store.save_filter("all", "")
    store.save_filter("what differs", "outcomes=differs&sort=kappa")
    assert list(store.saved_filters().items()) == [("all", ""), ("what differs", "outcomes=differs&sort=kappa")]
    store.remove_filter("all")
    store.remove_filter("all")
    assert list(store.saved_filters()) == ["what differs"]
    for name, query in (("", "a=b"), ("x" * 61, "a=b"), ("long", "x" * 2001)):
        with pytest.raises(FieldError):
            store.save_filter(name, query)
    assert list(store.saved_filters()) == ["what differs"]


def test_many_are_deleted_and_restored_at_once(store, three):
    store.delete(*three[:2], "gone")
    assert listed(store) == [three[2]] and listed(store, deleted=True) == [three[1], three[0]]
    store.restore(*three)
    assert len(listed(store)) == 3 and store.count(Filter(deleted=True)) == 0
    with pytest.raises(NotFound, match="there is no calibration gone"):
        store.delete("gone")
