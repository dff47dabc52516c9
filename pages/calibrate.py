"""Calibrate: choose a task, see what will be trained and how long it takes, launch."""

import streamlit as st

from sqrtscale import FieldError
from sqrtscale.ui import again, doctor_card, launch, light, timing
from sqrtscale.ui.state import open_store, through_app

through_app()
store = open_store()
st.title("Test the scaled configuration", anchor=False)
st.caption("Train the base and the scaled configuration side by side on real data, and see whether they follow each other.")
st.page_link("pages/judge.py", label="You have curves already? Judge them", icon=":material/upload_file:")
left, right = st.columns([1, 1.5], gap="large")
plan = None
with left:
    st.header("What to train", anchor=False)
    again.open_form(store)
    task = launch.task_choice()
    size = launch.size_choice(task)
    transfer = launch.transfer_choice(task)
    try:
        plan = launch.plan_choice(task, transfer, size)
    except FieldError as error:
        problem = error
    doctor_card.show()
with right:
    st.header("The arms", anchor=False, help="An arm is a configuration that is trained for comparison: one column below.")
    if transfer.missing:
        st.info(transfer.missing, title="An answer is missing", icon=":material/help:")
    elif plan is None:
        light.refusal(problem, task, transfer.inputs)
    else:
        launch.arms_table(plan)
        st.caption(f"{len(plan.arms)} arms × {plan.seeds_in_words} × {plan.samples:,} samples"
                   + (f", after a warm start of {plan.warm_samples:,} samples." if plan.warm_samples else ".")
                   + f" After any warm-up the learning rate {plan.schedule.words}.")
        seen = light.show(store, plan, transfer.inputs)
        timing.show(plan)
        launch.launch(store, plan, primary=seen.level != "hopeless")
