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

export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".live-plot");
  const figure = JSON.parse(data.figure);
  const theme = getComputedStyle(parentElement);
  const text = theme.getPropertyValue("--st-text-color").trim() || "#444";
  const line = theme.getPropertyValue("--st-border-color").trim() || "#ccc";
  const back = theme.getPropertyValue("--st-background-color").trim() || "#fff";
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line };
  const layout = figure.layout;
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { family: theme.fontFamily, color: text, size: 13 };
  layout.hoverlabel = { bgcolor: back, bordercolor: line, font: { color: text } };
  layout.xaxis = { ...layout.xaxis, ...axis };
  layout.yaxis = { ...layout.yaxis, ...axis };
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  box.style.height = layout.height + "px";
  load(data.source).then((Plotly) => Plotly.react(box, figure.data, layout, config));
}
