"""A filter goes into an address and comes back; whatever else an address holds, it is a filter."""

from hypothesis import given
from hypothesis import strategies as st

from sqrtscale.evidence import OUTCOMES
from sqrtscale.rules import FAMILIES
from sqrtscale.store import ORDERS, STATES, Filter
from sqrtscale.tasks import TASKS
from sqrtscale.ui import filters


def some(known):
    """A choice of what is known, in its order, as the widgets give it."""
    return st.sets(st.sampled_from(list(known))).map(lambda chosen: tuple(name for name in known if name in chosen))


KAPPAS = st.floats(1e-6, 1e6).map(lambda kappa: float(f"{kappa:.6g}"))
FILTERS = st.builds(
    Filter, text=st.text(max_size=100).map(str.strip), states=some(STATES), outcomes=some(OUTCOMES), optimizers=some(FAMILIES),
    tasks=some((*TASKS, "my-rows@", "Rows_2@")), deleted=st.booleans(), order=st.sampled_from(list(ORDERS)),
    tags=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40), unique=True,
                  max_size=5).map(tuple),
    kappa=st.tuples(st.one_of(st.just(0.0), KAPPAS), st.one_of(st.just(float("inf")), KAPPAS)))


@given(FILTERS)
def test_an_address_says_the_whole_filter(chosen):
    assert filters.read(filters.address_of(chosen)) == chosen


@given(st.builds(Filter, text=st.text(st.characters(exclude_categories=["Cs"]), max_size=100).map(str.strip),
                 states=some(STATES)))
def test_a_saved_filter_is_the_same_one(chosen):
    address = filters.address_of(chosen)
    assert filters.parsed(filters.text_of(address)) == address


NAMES = ["text", "states", "outcomes", "tags", "deleted", "order", "optimizers", "tasks", "kappa_from", "kappa_to", "id", "view"]


@given(st.dictionaries(st.sampled_from(NAMES), st.lists(st.one_of(
    st.text(max_size=3000), st.sampled_from(["nan", "-inf", "1e999", "0", "1", "9" * 400, *STATES, *OUTCOMES])), max_size=100)))
def test_whatever_an_address_holds_it_is_a_filter_of_bounded_size(address):
    chosen = filters.read(address)
    low, high = chosen.kappa
    assert chosen.order in ORDERS and set(chosen.states) <= set(STATES) and 0 <= low < float("inf") and high > 0
    assert len(chosen.text) <= 200 and len(chosen.tags) <= 20 and all(0 < len(tag) <= 40 for tag in chosen.tags)


def test_every_version_of_a_task_is_named_by_a_task_name():
    assert filters.read({"tasks": ["a@", "a@", "a@b", "@", "1@", "a" * 40 + "@", "<b>@", "digits"]}).tasks == ("digits", "a@")


def test_tags_are_as_every_database_takes_them():
    """PostgreSQL refuses a zero character, and no database takes half a character."""
    assert filters.read({"tags": ["\0", "of\0 today", "of today", "\ud800"]}).tags == ("of today", "?")
