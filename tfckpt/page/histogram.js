// How values are distributed, drawn as bars.

const FEWEST_BARS = 8; // that a histogram has room for
const OPEN_LAYERS = 1; // of which the histograms are shown at once

function histogram(tensor, width, height) {
  const { edges, counts } = tensor.statistics ? tensor.statistics.histogram : { edges: [], counts: [] };
  if (!counts.length) return "";
  const most = Math.max(...counts);
  const step = width / Math.max(counts.length, FEWEST_BARS); // a single bar is not the whole width
  const start = (width - step * counts.length) / 2;
  const bars = counts.map((number, n) => {
    const top = height - (number ? Math.max(1, (height * number) / most) : 0);
    return `M${(start + n * step).toFixed(2)} ${height}V${top.toFixed(2)}h${(step * 0.9).toFixed(2)}V${height}z`;
  });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const peak = counts.indexOf(most);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `from ${short(edges[0])} to ${short(edges[edges.length - 1])}, `
    + `most between ${short(edges[peak])} and ${short(edges[peak + 1])}`);
  path.setAttribute("d", bars.join(""));
  svg.append(path);
  return svg;
}

function drawLayers(tensors) {
  const layers = groupBy(tensors.filter((tensor) => tensor.statistics), (tensor) => tensor.layer.join("/"));
  const names = [...layers.keys()].sort(compare); // what is in no layer comes last
  const details = names.map((name) => {
    const members = layers.get(name).sort((a, b) => natural.compare(a.name, b.name));
    const bytes = human(sum(members, (tensor) => tensor.nbytes));
    const text = `${name || "outside of any layer"}: ${plural(members.length, "tensor")}, ${bytes}`;
    const made = element("details", {}, element("summary", { textContent: text }));
    made.addEventListener("toggle", () => {
      if (made.open && made.children.length === 1) made.append(element("div", { className: "figures" }, ...members.map(figure)));
    });
    return made;
  });
  byId("layers").hidden = details.length === 0;
  byId("layers-list").append(...details);
  details.slice(0, OPEN_LAYERS).forEach((made) => (made.open = true));
  const toggle = byId("layers-toggle");
  toggle.addEventListener("click", () => {
    const opened = details.some((made) => !made.open);
    details.forEach((made) => (made.open = opened));
    toggle.textContent = opened ? "Close all layers" : "Open all layers";
  });
}

function figure(tensor) {
  const { min, max, mean, std, of } = tensor.statistics;
  const rest = tensor.path.slice(tensor.layer.length).join("/");
  const numbers = min === null ? "no finite value" : `${short(min)} to ${short(max)}, mean ${short(mean)}, std ${short(std)}`;
  const what = of === "values" ? "" : `${of}: `;
  return element("figure", {}, histogram(tensor, 240, 72),
    element("figcaption", {}, rest || tensor.name, element("span", { textContent: what + numbers })));
}
