// The switch for notifications, and the notifications. Nobody is asked for the permission before a click on the switch.
const CHOICE = "sqrtscale-notify";
const told = (window.sqrtscaleTold ??= new Set()); // ids: what is drawn again is not told again

function problem() {
  if (!("Notification" in window)) return "This browser gives notifications over https and on this machine only.";
  if (Notification.permission === "denied") return "This browser blocks them: allow notifications in its settings for this address.";
  return "";
}

function tell({ id, title, words, page }) {
  try {
    const notification = new Notification(title, { body: words, tag: id }); // a tag: several tabs tell it once
    notification.onclick = () => {
      window.focus();
      window.location.assign(page + "?id=" + id);
    };
  } catch (error) {
    console.warn("no notification: " + error.message); // a browser that wants a service worker for it
  }
}

export default function ({ data, parentElement }) {
  const label = parentElement.querySelector(".notify");
  const box = label.querySelector("input");
  const said = parentElement.querySelector("[role=status]");

  const show = () => {
    label.hidden = said.hidden = !data.offered;
    said.textContent = problem();
    box.disabled = problem() !== "";
    box.checked = !box.disabled && Notification.permission === "granted" && localStorage.getItem(CHOICE) === "on";
  };
  box.onchange = async () => {
    if (box.checked && (await Notification.requestPermission()) === "granted") localStorage.setItem(CHOICE, "on");
    else localStorage.removeItem(CHOICE);
    show();
  };
  show();
  for (const ended of data.ended.filter(({ id }) => !told.has(id))) {
    told.add(ended.id);
    if (box.checked) tell(ended);
  }
}
