// A Plotly chart that keeps its zoom and its hidden legend entries while its data grow:
// Plotly.react updates the one element in place, and uirevision says that the view stays the user's.
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

// The figure in the colours of the page as they are now.
function themed(figure, element) {
  const theme = getComputedStyle(element);
  const text = theme.getPropertyValue("--st-text-color").trim() || "#444";
  const line = theme.getPropertyValue("--st-border-color").trim() || "#ccc";
  const back = theme.getPropertyValue("--st-background-color").trim() || "#fff";
  const grey = theme.getPropertyValue("--st-gray-text-color").trim() || "#888";
  const clear = "rgba(0,0,0,0)";
  const axes = Object.keys(figure.layout).filter((name) => /^[xy]axis/.test(name));
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line };
  return {
    ...figure.layout,
    paper_bgcolor: clear,
    plot_bgcolor: clear,
    font: { family: theme.fontFamily, color: text, size: 13 },
    hoverlabel: { bgcolor: back, bordercolor: line, font: { color: text } },
    modebar: { bgcolor: clear, color: grey, activecolor: text },
    ...Object.fromEntries(axes.map((name) => [name, { ...figure.layout[name], ...axis }])),
  };
}

export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".live-plot");
  const figure = JSON.parse(data.figure);
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: box.clientWidth < 600 ? false : "hover", // on a telephone it would lie over the legend
    modeBarButtonsToRemove: ["lasso2d", "select2d"],
  };
  box.style.height = figure.layout.height + "px";
  box.setAttribute("aria-label", data.alt);
  load(data.source).then((Plotly) => Plotly.react(box, figure.data, themed(figure, parentElement), config));
}
