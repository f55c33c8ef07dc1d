// Layers by kinds, as a table whose cells are coloured by a number.

const HEAT_STEPS = 6; // colours, from the palest to the strongest
const MOST_LAYERS = 200; // that have a row
const FEWEST_AXES = 2; // of a kernel or a table: biases and norms have one

/**
 * Fill an element with a table that has a row for each layer and a column for each kind.
 * cells: {layer, kind, value, lines, title, isBad}; the value decides on the colour, if there is one.
 * log: whether the colours go by the number's magnitude, as for numbers that are magnitudes apart.
 */
function drawGrid(target, { caption, cells, log }) {
  const all = [...groupBy(cells, (cell) => cell.layer.join("/"))].sort(([a], [b]) => compare(a, b));
  const layers = all.slice(0, MOST_LAYERS);
  const kinds = report.kinds.filter((kind) => cells.some((cell) => cell.kind === kind));
  const names = shortNames(layers.map(([, members]) => members[0].layer));
  const heat = heatOf(cells.map((cell) => cell.value), log);
  const head = ["layer", ...kinds].map((textContent) => element("th", { scope: "col", textContent }));
  const body = layers.map(([layer, members], n) => {
    const found = new Map(members.map((cell) => [cell.kind, cell]));
    return element("tr", {}, element("th", { scope: "row", title: layer || "outside of any layer", textContent: names[n] }),
      ...kinds.map((kind) => gridCell(found.get(kind), heat)));
  });
  target.append(element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `${caption}, scrolls` },
    element("table", { className: "grid" }, element("caption", { textContent: caption }),
      element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body))));
  const rest = all.length - layers.length;
  if (rest) target.append(element("p", { textContent: `and ${plural(rest, "layer")} more, which the tables have` }));
}

function gridCell(cell, heat) {
  if (!cell) return element("td", {});
  const [first, ...rest] = cell.lines;
  const step = heat(cell.value);
  const className = step !== null ? `heat-${step}` : cell.isBad ? "bad" : "";
  return element("td", { className, title: cell.title }, first,
    ...rest.map((textContent) => element("span", { textContent })));
}

/** Return a function from a number to a step of colour: from the smallest of these, above zero if they go by magnitude. */
function heatOf(values, log) {
  const scaled = (value) => (log ? Math.log10(value) : value);
  const known = values.filter((value) => value !== null && (!log || value > 0)).map(scaled);
  const [low, high] = [known.reduce((a, b) => Math.min(a, b), Infinity), known.reduce((a, b) => Math.max(a, b), -Infinity)];
  return (value) => {
    if (value === null || (log && value <= 0)) return null;
    return high > low ? Math.round(((scaled(value) - low) / (high - low)) * (HEAT_STEPS - 1)) : HEAT_STEPS >> 1;
  };
}

/** Return a positive number with so many digits. */
function brief(value, digits) {
  return value && value < 0.001 ? value.toExponential(digits - 1) : value.toPrecision(digits);
}

/** Return what layers are called for short: their last parts, where no other one is called so. */
function shortNames(layers) {
  const last = (parts) => parts.slice(/^[0-9]+$/.test(parts[parts.length - 1]) ? -2 : -1).join("/");
  const uses = groupBy(layers, last);
  return layers.map((parts) => (uses.get(last(parts)).length > 1 ? parts.join("/") : last(parts)) || "(none)");
}

// ---- How weights deviate

function drawHeat(tensors) {
  const weights = tensors.filter((tensor) => tensor.role === "model" && tensor.shape.length >= FEWEST_AXES
    && tensor.statistics && tensor.statistics.of === "values" && tensor.statistics.std !== null);
  const groups = [...groupBy(weights, (tensor) => JSON.stringify([tensor.layer, tensor.kind])).values()];
  const cells = groups.map((members) => {
    const std = pooledStd(members);
    const about = `${plural(members.length, "tensor")}, ${exact(sum(members, (tensor) => tensor.elements))} values`;
    return { layer: members[0].layer, kind: members[0].kind, value: std, lines: [brief(std, 3)],
      title: `${members[0].layer.join("/") || "outside of any layer"}, ${members[0].kind}: ${about}` };
  });
  byId("heat").hidden = cells.length === 0;
  if (cells.length) drawGrid(byId("heat-grid"), { caption: "Standard deviation of kernels and tables", cells, log: false });
}

/** Return the standard deviation of all the finite values of several tensors together. */
function pooledStd(tensors) {
  const parts = tensors.map(({ elements, statistics: s }) =>
    ({ count: elements - s.nan - s.positive_inf - s.negative_inf, mean: s.mean, std: s.std }));
  const count = sum(parts, (part) => part.count);
  const mean = sum(parts, (part) => part.mean * (part.count / count));
  return Math.sqrt(sum(parts, (part) => (part.std ** 2 + (part.mean - mean) ** 2) * (part.count / count)));
}

// ---- Where two checkpoints differ

function drawComparison(comparison, relation) {
  if (!comparison) return;
  byId("comparison").hidden = false;
  const unreadable = sum(comparison.layers, (group) => group.unreadable);
  const state = comparison.values_compared ? "" : " Values were not compared: only names, dtypes and shapes were.";
  const broken = unreadable ? ` ${plural(unreadable, "tensor")} cannot be read.` : "";
  byId("comparison-about").textContent = `The second checkpoint is taken for another one of the same layout: ${relation.why}. `
    + `${exact(comparison.differing)} of ${plural(comparison.tensors.length, "tensor")} differ.${broken}${state}`;
  drawGrid(byId("comparison-grid"), {
    caption: comparison.values_compared ? "Tensors that differ, and the largest absolute difference"
      : "Tensors that differ by name, dtype or shape",
    cells: comparison.layers.map(differenceCell),
    log: true,
  });
  new Table(byId("comparison-table"), {
    caption: "Every tensor of either checkpoint", noun: "tensor", rows: differingFirst(comparison.tensors),
    search: (row) => [row.a ?? row.b, row.layer.join("/")],
    choice: { label: "Difference", value: (row) => row.verdict },
    columns: [
      { label: "Name", value: (row) => row.a ?? row.b },
      { label: "Difference", value: (row) => row.verdict, cell: differenceText },
      { label: "dtype", value: (row) => [...new Set(row.dtypes)].join(" to ") },
      { label: "Shape", value: (row) => [...new Set(row.shapes.map((shape) => `[${shape.join(", ")}]`))].join(" to ") },
      number("Values that differ", (row) => (row.values ? row.values.differing : null), exact),
      number("Largest absolute", (row) => (row.values ? row.values.max_absolute : null), short),
      number("Largest relative", (row) => (row.values ? row.values.max_relative : null), short),
    ],
  });
}

function number(label, value, text) {
  return { label, className: "number", value, cell: (row) => (value(row) === null ? "" : text(value(row))) };
}

function differenceText(row) {
  const className = row.verdict === "same" ? "good" : row.verdict === "not compared" ? "" : "bad";
  return element("span", { className, textContent: row.problem || row.verdict });
}

function differingFirst(rows) {
  const rank = (row) => Number(row.verdict === "same" || row.verdict === "not compared");
  return [...rows].sort((a, b) => rank(a) - rank(b) || natural.compare(a.a ?? a.b, b.a ?? b.b));
}

function differenceCell(group) {
  const lines = [`${exact(group.differing)} of ${exact(group.tensors)}`];
  if (group.max_absolute) lines.push(`max ${brief(group.max_absolute, 2)}`);
  if (group.one_sided) lines.push(`${exact(group.one_sided)} NaN or Inf`);
  if (group.only_in_one) lines.push(`${exact(group.only_in_one)} in one only`);
  if (group.unreadable) lines.push(`${exact(group.unreadable)} unread`);
  const title = `${group.layer.join("/") || "outside of any layer"}, ${group.kind}: ${lines.join(", ")}`;
  return { layer: group.layer, kind: group.kind, value: group.max_absolute, lines, title, isBad: group.differing > 0 };
}
