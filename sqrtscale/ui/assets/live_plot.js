// A Plotly chart that keeps its zoom and its hidden legend entries while its data grow:
// Plotly.react updates the one element in place, and uirevision says that the view stays the user's.
// Its tools stand above it, where they cover nothing; Plotly's own toolbar would, and it offers an upload.
function load(source) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  if (!window.sqrtscalePlotly) {
    window.sqrtscalePlotly = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => reject(new Error("cannot load " + source));
      document.head.appendChild(script);
    });
  }
  return window.sqrtscalePlotly;
}

// A colour of the page as it is now.
function colour(element, name, otherwise) {
  return getComputedStyle(element).getPropertyValue("--st-" + name).trim() || otherwise;
}

// The figure in the colours of the page as they are now.
function themed(figure, element) {
  const text = colour(element, "text-color", "#444");
  const line = colour(element, "border-color", "#ccc");
  const back = colour(element, "background-color", "#fff");
  const clear = "rgba(0,0,0,0)";
  const axes = Object.keys(figure.layout).filter((name) => /^[xy]axis/.test(name));
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line };
  return {
    ...figure.layout,
    paper_bgcolor: clear,
    plot_bgcolor: clear,
    font: { family: getComputedStyle(element).fontFamily, color: text, size: 13 },
    hoverlabel: { bgcolor: back, bordercolor: line, font: { color: text } },
    ...Object.fromEntries(axes.map((name) => [name, { ...figure.layout[name], ...axis }])),
  };
}

// What the axes show before anybody zooms.
function unzoomed(layout) {
  const axes = Object.keys(layout).filter((name) => /^[xy]axis/.test(name));
  return Object.fromEntries(axes.map((name) =>
    layout[name].range ? [name + ".range", [...layout[name].range]] : [name + ".autorange", true]));
}

const CONFIG = { responsive: true, displayModeBar: false, showSendToCloud: false, plotlyServerURL: "" };
const PICTURE_WIDTH = 1000; // at least, so that a telephone saves the same picture as a desk

// The chart as the user sees it, on the page's background, into the browser's downloads.
async function download(Plotly, box, format, file) {
  const back = colour(box, "background-color", "#fff");
  const figure = { data: box.data, layout: { ...box.layout, paper_bgcolor: back, plot_bgcolor: back }, config: CONFIG };
  const size = { width: Math.max(box.clientWidth, PICTURE_WIDTH), height: box.clientHeight, scale: format === "png" ? 2 : 1 };
  const link = document.createElement("a");
  link.href = await Plotly.toImage(figure, { format, ...size });
  link.download = file + "." + format;
  link.click();
}

export default function ({ data, parentElement }) {
  const frame = parentElement.querySelector(".live-plot-frame");
  const box = frame.querySelector(".live-plot");
  const said = frame.querySelector("[role=status]");
  const figure = JSON.parse(data.figure);
  const loaded = load(data.source);
  const tell = (problem) => (error) => { said.textContent = problem + " (" + error.message + ")"; };

  const draw = async () => {
    const full = document.fullscreenElement === frame;
    frame.querySelector("[data-tool=full]").textContent = full ? "Close" : "Full screen";
    box.style.height = full ? "" : figure.layout.height + "px";
    const layout = themed(figure, parentElement);
    if (full) delete layout.height;
    await (await loaded).react(box, { data: figure.data, layout, config: CONFIG, frames: figure.frames });
  };
  box.setAttribute("aria-label", data.alt);
  draw().catch(tell("The chart cannot be drawn: reload the page."));

  const tools = {
    png: async () => download(await loaded, box, "png", data.file),
    svg: async () => download(await loaded, box, "svg", data.file),
    reset: async () => (await loaded).relayout(box, unzoomed(figure.layout)),
    full: async () => (document.fullscreenElement ? document.exitFullscreen() : frame.requestFullscreen()),
  };
  for (const [name, act] of Object.entries(tools)) {
    const button = frame.querySelector(`[data-tool=${name}]`);
    button.onclick = () => {
      said.textContent = "";
      act().catch(tell("That did not work."));
    };
  }
  frame.querySelector("[data-tool=full]").hidden = !document.fullscreenEnabled; // a telephone may have none
  frame.onfullscreenchange = async () => {
    await draw();
    await window.Plotly.Plots.resize(box);
  };
}
