// The page, from the JSON beside it.

const MOST_PROBLEMS = 100; // that the summary lists; the tables have all
const report = JSON.parse(byId("data").textContent);

// ---- Summary

function drawSummary() {
  const { source, destination, relation, mapping, comparison, tensors } = report;
  const facts = [["Source", describeFiles(source)], ...describeModel(report.summary)];
  for (const [role, members] of groupBy(tensors, (tensor) => tensor.role)) {
    const bytes = sum(members, (tensor) => tensor.nbytes);
    facts.push([role, `${plural(members.length, "tensor")}, ${human(bytes)}, ${percent(bytes, source.nbytes)}`]);
  }
  const measured = tensors.filter((tensor) => tensor.statistics);
  const broken = tensors.filter((tensor) => tensor.problem);
  if (measured.length || broken.length) {
    facts.push(["Checksums", broken.length ? `${plural(broken.length, "tensor")} cannot be read whole` : "all match"]);
    const odd = measured.filter(({ statistics: s }) => s.nan + s.positive_inf + s.negative_inf > 0);
    facts.push(["NaN or infinite", odd.length ? `in ${plural(odd.length, "tensor")}` : "none"]);
  } else {
    facts.push(["Values", "not read: no statistics, no checksums, no comparison"]);
  }
  if (destination) facts.push(["Second checkpoint", describeFiles(destination)]);
  if (relation) facts.push(["Taken as", `a ${relation.taken_as}: ${relation.why}`]);
  if (mapping) {
    facts.push(["Target", mapping.to || "the same names"]);
    if (destination) facts.push(["Proof", describeProof(mapping)]);
  }
  if (comparison) facts.push(["Differing", describeComparison(comparison)]);
  byId("facts").append(...facts.flatMap(([name, text]) => [
    element("dt", { textContent: name }), element("dd", { textContent: text })]));
  drawProblems([...(mapping ? mapping.differences : []),
    ...(comparison ? comparison.tensors.map((tensor) => tensor.problem) : []), ...broken.map((tensor) => tensor.problem)]);
}

/** Return what the model is, as pairs of a name and a text; what nothing tells is called unknown. */
function describeModel(summary) {
  const size = (found) => (found ? `${exact(found.value)} (from ${found.origin})` : "unknown");
  const steps = summary.steps.map(({ name, value }) => `${name} ${value === null ? "not read" : exact(value)}`);
  return [
    ["Family", summary.family || "unknown"],
    ["Parameters", exact(summary.parameters)],
    ["Dtypes", Object.entries(summary.dtypes).map(([dtype, count]) => `${dtype} (${plural(count, "tensor")})`).join(", ") || "none"],
    ["Layers", size(summary.layers)],
    ["Heads", size(summary.heads)],
    ...(steps.length ? [["Step", steps.join(", ")]] : []),
  ];
}

function describeProof(mapping) {
  if (mapping.differences.length) return "the destination differs";
  return mapping.values_compared ? whatHolds(mapping.steps) : "none: names, dtypes and shapes are right, values were not compared";
}

function describeComparison(comparison) {
  if (comparison.same) return "nothing: all tensors are the same";
  const unreadable = sum(comparison.layers, (group) => group.unreadable);
  const found = `${exact(comparison.differing)} of ${plural(comparison.tensors.length, "tensor")}`
    + (unreadable ? `, ${exact(unreadable)} cannot be read` : "");
  return comparison.values_compared ? found : `${found} by name, dtype or shape; values were not compared`;
}

function drawProblems(lines) {
  const problems = [...new Set(lines.filter((line) => line))];
  byId("problems").hidden = problems.length === 0;
  const shown = problems.slice(0, MOST_PROBLEMS);
  if (shown.length < problems.length) shown.push(`and ${exact(problems.length - shown.length)} more`);
  byId("problems").append(...shown.map((text) => element("li", { textContent: text })));
}

function whatHolds(steps) {
  const filled = steps.filter((step) => step.change === "filled").length;
  if (!filled) return "every value is the source's";
  const kept = steps.length - filled;
  const held = `${plural(kept, "tensor")} ${kept === 1 ? "holds" : "hold"} the source's values`;
  return `${held}, ${exact(filled)} ${filled === 1 ? "was" : "were"} filled`;
}

function describeFiles(files) {
  const kind = files.object_based ? "object-based" : "name-based";
  const bytes = `${exact(files.nbytes)} bytes (${human(files.nbytes)})`;
  return `${files.prefix}: ${kind}, ${plural(files.tensors, "tensor")}, ${bytes} in ${plural(files.data_files, "data file")}`;
}

// ---- The three tables

function drawMapping() {
  const { mapping } = report;
  if (!mapping) return;
  byId("mapping").hidden = false;
  const way = mapping.recovered ? "found by what the destination holds" : "as asked for";
  byId("mapping-about").textContent = `Target: ${mapping.to || "the same names"}, ${way}. `
    + `${plural(mapping.steps.length, "variable")} written, ${plural(mapping.dropped.length, "tensor")} left out.`
    + (report.destination && !mapping.values_compared ? " Values were not compared." : "");
  const sizes = Object.entries(mapping.sizes).map(([name, size]) => `${name}: ${size.value} (${size.origin})`);
  byId("mapping-notes").append(...[...sizes, ...mapping.notes].map((text) => element("li", { textContent: text })));

  const dropped = [...groupBy(mapping.dropped, (item) => item.rule)].map(([rule, items]) =>
    ({ rule, tensors: items.length, bytes: sum(items, (item) => item.nbytes) }));
  new Table(byId("dropped-table"), {
    caption: "Tensors left out, by the rule that says so", noun: "rule", rows: dropped, search: (row) => [row.rule],
    columns: [
      { label: "Reason", value: (row) => row.rule },
      { label: "Tensors", className: "number", value: (row) => row.tensors, cell: (row) => exact(row.tensors) },
      { label: "Bytes", className: "number", value: (row) => row.bytes, cell: (row) => exact(row.bytes) },
    ],
  });
  new Table(byId("mapping-table"), {
    caption: "What becomes of every variable", noun: "variable", rows: mappingRows(mapping),
    search: (row) => [row.source, row.target, row.how],
    choice: { label: "What happens", value: (row) => row.change },
    columns: [
      { label: "Source", value: (row) => row.source },
      { label: "What happens", value: (row) => row.change },
      { label: "How", className: "code", value: (row) => row.how },
      { label: "Target", className: "code", value: (row) => row.target },
      { label: "Bytes", className: "number", value: (row) => row.nbytes, cell: (row) => (row.nbytes === null ? "" : exact(row.nbytes)) },
      { label: "Checksum", className: "code", value: (row) => row.checksum },
      { label: "Compared", value: (row) => row.verdict, cell: verdictCell },
    ].filter((column) => column.label !== "Compared" || mapping.proved !== null),
  });
}

function mappingRows(mapping) {
  const steps = mapping.steps.map((step) => ({
    source: step.source ?? "", target: step.target, change: step.change, nbytes: step.nbytes,
    how: [shapes(step), ...step.how].join("; "),
    checksum: [...new Set([hex(step.source_crc32c), hex(step.target_crc32c)])].filter(Boolean).join(" to "),
    verdict: step.problem === null ? "" : step.problem || "same values",
  }));
  const out = mapping.dropped.map((item) => ({
    source: item.source, target: "", change: "left out", nbytes: item.nbytes, how: item.rule, checksum: "", verdict: "",
  }));
  const beside = mapping.extras.map((item) => ({
    source: "", target: item.name, change: "beside the model", nbytes: null, how: item.rule, checksum: "", verdict: "",
  }));
  return [...steps, ...out, ...beside];
}

function shapes(step) {
  const both = [step.source_shape, step.shape].filter(Boolean).map((shape) => `[${shape.join(", ")}]`);
  return [...new Set(both)].join(" to ");
}

function verdictCell(row) {
  return element("span", { className: row.verdict === "same values" ? "good" : "bad", textContent: row.verdict });
}

function drawTensors() {
  const statistic = (name) => (row) => (row.statistics ? row.statistics[name] : null);
  const numbers = ["min", "max", "mean", "std"].map((name) =>
    ({ label: name, className: "number", value: statistic(name), cell: (row) => short(statistic(name)(row)) }));
  const odd = (row) => (row.statistics ? row.statistics.nan + row.statistics.positive_inf + row.statistics.negative_inf : null);
  return new Table(byId("tensors-table"), {
    caption: "Every tensor of the source", noun: "tensor", rows: report.tensors,
    search: (row) => [row.name, row.dtype, row.role, row.kind],
    choice: { label: "Kind", value: (row) => row.kind },
    columns: [
      { label: "Name", value: (row) => row.name },
      { label: "dtype", value: (row) => row.dtype },
      { label: "Shape", value: (row) => row.elements, cell: (row) => `[${row.shape.join(", ")}]` },
      { label: "Bytes", className: "number", value: (row) => row.nbytes, cell: (row) => exact(row.nbytes) },
      { label: "Share", className: "number", value: (row) => row.nbytes, cell: (row) => percent(row.nbytes, report.source.nbytes) },
      ...numbers,
      { label: "NaN, Inf", className: "number", value: odd, cell: (row) => (odd(row) === null ? "" : exact(odd(row))) },
      { label: "Histogram", value: statistic("std"), cell: (row) => histogram(row, 96, 24) },
      { label: "Checksum", className: "code", value: (row) => hex(row.crc32c), cell: checksumCell },
    ],
  });
}

function checksumCell(row) {
  const verdict = row.problem ? { className: "bad", textContent: row.problem } : { className: "good", textContent: "matches" };
  const parts = row.slices ? `${plural(row.slices, "slice")} ` : `${hex(row.crc32c)} `;
  return element("span", {}, parts, row.problem || row.statistics ? element("span", verdict) : null);
}

// ---- The page

function drawSections() {
  const sections = [...document.querySelectorAll("main section:not([hidden])")];
  byId("sections").append(...sections.map((section) =>
    element("li", {}, element("a", { href: `#${section.id}`, textContent: section.querySelector("h2").textContent }))));
  byId("made-by").textContent = `Made by tfckpt ${report.tfckpt}.`;
}

function drawLegend() {
  const kinds = report.kinds.filter((kind) => report.tensors.some((tensor) => tensor.kind === kind));
  byId("legend").append(...kinds.map((kind) =>
    element("li", {}, element("span", { className: `swatch kind-${kind}` }), kind)));
}

drawSummary();
drawComparison(report.comparison, report.relation);
drawLegend();
drawHeat(report.tensors);
drawMapping();
new Names(byId("names-tree"), byId("names-copied"), report.tensors);
const table = drawTensors();
new Treemap(byId("treemap"), byId("crumbs"), report.tensors, (tensor) => {
  table.filter(tensor.name);
  byId("tensors").scrollIntoView();
});
drawLayers(report.tensors);
drawSections();
