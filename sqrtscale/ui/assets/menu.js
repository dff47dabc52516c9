// On a narrow screen the pages are a menu. Streamlit (1.67) closes it after a choice where the browser says that it is a
// telephone's, and leaves it open over the page everywhere else.
if (!window.sqrtscaleMenu) {
  window.sqrtscaleMenu = true;
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-testid=stSidebarNavLink]")) return;
    // Later: where Streamlit has closed it, the button is gone by then.
    setTimeout(() => document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click());
  });
}
