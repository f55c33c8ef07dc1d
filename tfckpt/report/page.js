"use strict";

// Draws the report from the JSON beside it. Texts are only ever set as text: a name cannot become markup.

const report = JSON.parse(document.getElementById("data").textContent);
const FIRST_ROWS = 200; // of a table that are drawn unless asked for more
const MOST_TILES = 200; // in one area of the treemap; smaller ones are put together
const INNER_LEVELS = 8; // drawn inside an area, to show what is below
const LABEL = { width: 24, height: 12, line: 6 }; // the least room for one, and what a line takes
const INNER_AREA = 4; // of 25,000, the whole treemap's: what is smaller is not divided any more
const FEWEST_BARS = 8; // that a histogram has room for
const OPEN_LAYERS = 1; // of which the histograms are shown at once
const grouped = new Intl.NumberFormat("en");
const natural = new Intl.Collator("en", { numeric: true });

// ---- Small helpers

function byId(id) {
  return document.getElementById(id);
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function sum(items, value) {
  return items.reduce((total, item) => total + value(item), 0);
}

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const name = key(item);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(item);
  }
  return groups;
}

function human(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (bytes >= 1023.95 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return unit ? `${bytes.toFixed(1)} ${units[unit]}` : `${bytes} B`;
}

function exact(number) {
  return grouped.format(number);
}

function percent(part, whole) {
  return `${(whole ? (100 * part) / whole : 0).toFixed(1)} %`;
}

function short(number) {
  return number === null ? "" : String(Number(number.toPrecision(4)));
}

function hex(checksum) {
  return checksum === null ? "" : `0x${checksum.toString(16).padStart(8, "0")}`;
}

function plural(count, noun) {
  return `${exact(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function roleClass(role) {
  const known = ["model", "optimizer state", "object graph"];
  return `role-${known.includes(role) ? role.replace(" ", "-") : "other"}`;
}

// ---- Summary

function drawSummary() {
  const { source, destination, mapping, tensors } = report;
  const facts = [["Source", describeFiles(source)]];
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
  }
  if (destination) facts.push(["Destination", describeFiles(destination)]);
  if (mapping) {
    facts.push(["Target", mapping.to || "the same names"]);
    if (mapping.proved !== null) {
      facts.push(["Proof", mapping.proved ? "every value is the source's" : "the destination differs"]);
    }
  }
  byId("facts").append(...facts.flatMap(([name, text]) => [
    element("dt", { textContent: name }), element("dd", { textContent: text })]));
  const problems = [...broken.map((tensor) => tensor.problem), ...(mapping ? mapping.differences : [])];
  byId("problems").hidden = problems.length === 0;
  byId("problems").append(...problems.map((text) => element("li", { textContent: text })));
}

function describeFiles(files) {
  const kind = files.object_based ? "object-based" : "name-based";
  const bytes = `${exact(files.nbytes)} bytes (${human(files.nbytes)})`;
  return `${files.prefix}: ${kind}, ${plural(files.tensors, "tensor")}, ${bytes} in ${plural(files.data_files, "data file")}`;
}

// ---- Where the bytes are: a treemap of one module at a time

function makeTree(tensors) {
  const root = { name: "everything", parent: null, children: new Map(), bytes: 0, tensors: 0, roles: new Map() };
  for (const tensor of tensors) {
    let node = root;
    count(node, tensor);
    for (const part of tensor.path) {
      if (!node.children.has(part)) {
        node.children.set(part, { name: part, parent: node, children: new Map(), bytes: 0, tensors: 0, roles: new Map() });
      }
      node = node.children.get(part);
      count(node, tensor);
    }
    node.tensor = tensor;
  }
  return root;
}

function count(node, tensor) {
  node.bytes += tensor.nbytes;
  node.tensors += 1;
  node.roles.set(tensor.role, (node.roles.get(tensor.role) || 0) + tensor.nbytes);
}

/** Return a node's children, largest first; where one has a single child, the two are one step. */
function below(node) {
  const found = [...node.children.values()].map(skipSingle);
  if (node.tensor && found.length) found.push(itself(node)); // a variable with its slots below it
  found.sort((a, b) => b.bytes - a.bytes || natural.compare(a.name, b.name));
  if (found.length <= MOST_TILES) return found;
  return [...found.slice(0, MOST_TILES - 1), together(found.slice(MOST_TILES - 1), node)];
}

/** Return a node of its own for many small ones. */
function together(nodes, parent) {
  const label = `${exact(nodes.length)} smaller ones`;
  const made = { name: label, label, parent, children: new Map(), bytes: 0, tensors: 0, roles: new Map() };
  for (const node of nodes) {
    made.children.set(node, node);
    made.bytes += node.bytes;
    made.tensors += node.tensors;
    for (const [role, bytes] of node.roles) made.roles.set(role, (made.roles.get(role) || 0) + bytes);
  }
  return made;
}

function skipSingle(node) {
  let label = node.name;
  while (node.children.size === 1 && !node.tensor) {
    [node] = node.children.values();
    label += `/${node.name}`;
  }
  return Object.assign(node, { label });
}

/** Return the first node below which there is more than one way. */
function firstChoice(node) {
  while (node.children.size === 1 && !node.tensor) {
    const [child] = node.children.values();
    if (!child.children.size) break;
    node = child;
  }
  return node;
}

function itself(node) {
  const { nbytes, role } = node.tensor;
  const own = { label: `${node.name} itself`, tensor: node.tensor, bytes: nbytes, tensors: 1, roles: new Map([[role, nbytes]]) };
  return { ...own, name: node.name, parent: node, children: new Map() };
}

/** Return the class for a node's colour: none of its own if there are several roles below it. */
function nodeClass(node) {
  const roles = [...node.roles].filter(([, bytes]) => bytes > 0);
  return roles.length === 1 ? roleClass(roles[0][0]) : "role-mixed";
}

/**
 * Place areas in a rectangle as squares as can be, in rows along its shorter side.
 * Source: Bruls, Huizing, van Wijk, "Squarified Treemaps", 2000.
 */
function squarify(nodes, box) {
  const placed = [];
  let rest = nodes.filter((node) => node.bytes > 0);
  while (rest.length) {
    const total = sum(rest, (node) => node.bytes);
    const along = Math.min(box.width, box.height);
    const scale = (box.width * box.height) / total;
    let size = 1;
    while (size < rest.length && worst(rest, size + 1, scale, along) <= worst(rest, size, scale, along)) size += 1;
    const row = rest.slice(0, size);
    const thickness = (sum(row, (node) => node.bytes) * scale) / along;
    let at = 0;
    for (const node of row) {
      const length = (node.bytes * scale) / thickness;
      placed.push(box.width >= box.height
        ? { node, x: box.x, y: box.y + at, width: thickness, height: length }
        : { node, x: box.x + at, y: box.y, width: length, height: thickness });
      at += length;
    }
    box = box.width >= box.height
      ? { ...box, x: box.x + thickness, width: box.width - thickness }
      : { ...box, y: box.y + thickness, height: box.height - thickness };
    rest = rest.slice(size);
  }
  return placed;
}

function worst(nodes, size, scale, along) {
  const areas = nodes.slice(0, size).map((node) => node.bytes * scale);
  const row = sum(areas, (area) => area);
  return Math.max((along * along * areas[0]) / (row * row), (row * row) / (along * along * areas[size - 1]));
}

function place(made, { x, y, width, height }, whole) {
  made.style.left = `${(100 * x) / whole.width}%`;
  made.style.top = `${(100 * y) / whole.height}%`;
  made.style.width = `${(100 * width) / whole.width}%`;
  made.style.height = `${(100 * height) / whole.height}%`;
  return made;
}

function drawTreemap() {
  const map = byId("treemap");
  const root = firstChoice(makeTree(report.tensors));
  let shown = root;

  function open(node, focused) {
    shown = node;
    const whole = { x: 0, y: 0, width: 250, height: 100 };
    const tiles = squarify(below(node), whole).map((area) => place(makeTile(area), area, whole));
    tiles.forEach((tile, n) => (tile.tabIndex = n === 0 ? 0 : -1)); // one stop for Tab; arrows do the rest
    map.replaceChildren(...tiles);
    drawCrumbs();
    const target = tiles.find((tile) => tile.node === focused) || tiles[0];
    if (focused !== undefined && target) focus(target);
  }

  function makeTile({ node, width, height }) {
    const size = `${human(node.bytes)}, ${percent(node.bytes, report.source.nbytes)}`;
    const label = element("span", { className: "label" },
      element("span", { className: "name", textContent: node.label }), element("span", { textContent: ` ${size}` }));
    const tile = element("button", { type: "button", className: `tile ${nodeClass(node)}`, node });
    const content = node.tensor ? "tensor" : plural(node.tensors, "tensor");
    tile.setAttribute("aria-label", `${node.label}, ${size}, ${content}`);
    tile.title = `${node.label}: ${exact(node.bytes)} bytes, ${content}`;
    drawInside(tile, node, { x: 0, y: 0, width, height }, INNER_LEVELS);
    tile.append(label);
    tile.addEventListener("click", () => (node.children.size ? open(node, null) : showTensor(node.tensor)));
    return tile;
  }

  function drawInside(outer, node, box, levels) {
    if (!levels || box.width * box.height < INNER_AREA) return;
    const head = levels > INNER_LEVELS - 2 && hasRoom(box) ? LABEL.line : 0; // two levels have their names above them
    const room = { ...box, y: head, height: box.height - head };
    for (const area of squarify(below(node), room)) {
      const inner = place(element("span", { className: `inner ${nodeClass(area.node)}` }), area, box);
      drawInside(inner, area.node, { ...area, x: 0, y: 0 }, levels - 1);
      if (levels === INNER_LEVELS && hasRoom(area)) {
        inner.append(element("span", { className: "label", textContent: area.node.label }));
      }
      outer.append(inner);
    }
  }

  function hasRoom({ width, height }) {
    return width >= LABEL.width && height >= LABEL.height;
  }

  function drawCrumbs() {
    const steps = [];
    for (let node = shown; node; node = node === root ? null : parentOf(node)) steps.unshift(node);
    byId("crumbs").replaceChildren(...steps.map((node) => {
      const button = element("button", { type: "button", textContent: node === root ? "everything" : node.label });
      if (node === shown) button.setAttribute("aria-current", "location");
      button.addEventListener("click", () => open(node, null));
      return element("li", {}, button);
    }));
  }

  function parentOf(node) {
    let parent = node.parent;
    while (parent !== root && parent.parent && parent.children.size === 1 && !parent.tensor) parent = parent.parent;
    return parent;
  }

  function focus(tile) {
    for (const other of map.children) other.tabIndex = -1;
    tile.tabIndex = 0;
    tile.focus();
  }

  map.addEventListener("keydown", (event) => {
    const tiles = [...map.children];
    const at = tiles.indexOf(document.activeElement);
    const moves = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: tiles.length - 1 };
    if (event.key in moves && tiles.length) focus(tiles[Math.min(Math.max(moves[event.key], 0), tiles.length - 1)]);
    else if (event.key === "Escape" && shown !== root) open(parentOf(shown), shown);
    else return;
    event.preventDefault();
  });

  const roles = [...new Set(report.tensors.map((tensor) => tensor.role))];
  byId("legend").append(...roles.map((role) =>
    element("li", {}, element("span", { className: `swatch ${roleClass(role)}` }), role)));
  open(root);
}

// ---- Tables that sort and filter

/**
 * Fill a place with a table.
 * columns: {label, value(row), cell(row), className}; the first one's cells head their rows. A cell is a text or a node.
 * choice: {label, value(row)}, a menu that leaves one kind of row. Returns what sets the filter.
 */
function makeTable(id, { caption, noun, columns, rows, search, choice }) {
  const target = byId(id);
  const state = { column: null, down: false, text: "", kind: "", limit: FIRST_ROWS };
  const input = element("input", { type: "search", id: `${id}-search`, autocomplete: "off", spellcheck: false });
  const menu = element("select", { id: `${id}-kind` });
  const status = element("p", { className: "status" });
  status.setAttribute("role", "status");
  const more = element("button", { type: "button" });
  const body = element("tbody", {});
  const heads = columns.map((column, n) => makeHead(column, n));
  const table = element("table", {}, element("caption", { textContent: caption }),
    element("thead", {}, element("tr", {}, ...heads)), body);
  const scroll = element("div", { className: "scroll", tabIndex: 0 }, table);
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `${caption}, scrolls`);

  function makeHead(column, n) {
    const head = element("th", { scope: "col", className: column.className || "" });
    head.setAttribute("aria-sort", "none");
    const button = element("button", { type: "button", textContent: column.label });
    button.addEventListener("click", () => {
      state.down = state.column === n ? !state.down : column.className === "number";
      state.column = n;
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      draw();
    });
    head.append(button);
    return head;
  }

  function chosen() {
    const matches = matcher(state.text);
    const found = rows.filter((row) => (!state.kind || choice.value(row) === state.kind) && matches(search(row)));
    if (state.column === null) return found;
    const { value } = columns[state.column];
    const sign = state.down ? -1 : 1;
    return found.sort((a, b) => sign * compare(value(a), value(b)));
  }

  function draw() {
    const found = chosen();
    const drawn = found.slice(0, state.limit);
    body.replaceChildren(...drawn.map((row) => element("tr", {}, ...columns.map((column, n) => makeCell(column, n, row)))));
    status.textContent = `${exact(found.length)} of ${plural(rows.length, noun)}`;
    more.hidden = drawn.length === found.length;
    more.textContent = `Show all ${exact(found.length)}`;
  }

  function makeCell(column, n, row) {
    const cell = element(n ? "td" : "th", { className: column.className || "" }, (column.cell || column.value)(row) ?? "");
    if (!n) cell.scope = "row";
    return cell;
  }

  function set(changes) {
    Object.assign(state, { limit: FIRST_ROWS }, changes);
    draw();
  }

  const tools = element("div", { className: "tools" },
    element("div", {}, element("label", { htmlFor: input.id, textContent: "Filter: words, or globs such as *kernel" }), input));
  if (choice) {
    const kinds = [...groupBy(rows, choice.value)].map(([kind, members]) => [kind, `${kind} (${exact(members.length)})`]);
    menu.append(...[["", "all"], ...kinds].map(([value, textContent]) => element("option", { value, textContent })));
    tools.append(element("div", {}, element("label", { htmlFor: menu.id, textContent: choice.label }), menu));
  }
  tools.append(status);
  input.addEventListener("input", () => set({ text: input.value }));
  menu.addEventListener("change", () => set({ kind: menu.value }));
  more.addEventListener("click", () => set({ limit: Infinity }));
  target.append(tools, scroll, more);
  draw();
  return {
    filter(text) {
      input.value = text;
      menu.value = "";
      set({ text, kind: "" });
      scroll.focus();
    },
  };
}

/** Return a test of texts: all words occur, whatever their case; one with * or ? is a glob for a whole text. */
function matcher(words) {
  const tests = words.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    if (!/[*?]/.test(word)) return (texts) => texts.some((text) => text.includes(word));
    const pattern = word.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
    const glob = new RegExp(`^${pattern}$`);
    return (texts) => texts.some((text) => glob.test(text));
  });
  return (texts) => {
    const lower = texts.map((text) => text.toLowerCase());
    return tests.every((test) => test(lower));
  };
}

function compare(a, b) {
  if (a === null || b === null || a === "" || b === "") return (a === null || a === "") - (b === null || b === "");
  return typeof a === "number" && typeof b === "number" ? a - b : natural.compare(String(a), String(b));
}

// ---- The three tables

function drawMapping() {
  const { mapping } = report;
  if (!mapping) return;
  byId("mapping").hidden = false;
  const way = mapping.recovered ? "found by what the destination holds" : "as asked for";
  byId("mapping-about").textContent = `Target: ${mapping.to || "the same names"}, ${way}. `
    + `${plural(mapping.steps.length, "variable")} written, ${plural(mapping.dropped.length, "tensor")} left out.`;
  const sizes = Object.entries(mapping.sizes).map(([name, size]) => `${name}: ${size.value} (${size.origin})`);
  byId("mapping-notes").append(...[...sizes, ...mapping.notes].map((text) => element("li", { textContent: text })));

  const dropped = [...groupBy(mapping.dropped, (item) => item.rule)].map(([rule, items]) =>
    ({ rule, tensors: items.length, bytes: sum(items, (item) => item.nbytes) }));
  makeTable("dropped-table", {
    caption: "Tensors left out, by the rule that says so", noun: "rule", rows: dropped, search: (row) => [row.rule],
    columns: [
      { label: "Reason", value: (row) => row.rule },
      { label: "Tensors", className: "number", value: (row) => row.tensors, cell: (row) => exact(row.tensors) },
      { label: "Bytes", className: "number", value: (row) => row.bytes, cell: (row) => exact(row.bytes) },
    ],
  });
  makeTable("mapping-table", {
    caption: "What becomes of every variable", noun: "variable", rows: mappingRows(mapping),
    search: (row) => [row.source, row.target, row.how],
    choice: { label: "What happens", value: (row) => row.change },
    columns: [
      { label: "Source", value: (row) => row.source },
      { label: "What happens", value: (row) => row.change },
      { label: "How", className: "code", value: (row) => row.how },
      { label: "Target", className: "code", value: (row) => row.target },
      { label: "Bytes", className: "number", value: (row) => row.nbytes, cell: (row) => exact(row.nbytes ?? 0) },
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
  return makeTable("tensors-table", {
    caption: "Every tensor of the source", noun: "tensor", rows: report.tensors, search: (row) => [row.name, row.dtype],
    choice: { label: "Role", value: (row) => row.role },
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

// ---- Histograms

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

function drawLayers() {
  const layers = groupBy(report.tensors.filter((tensor) => tensor.statistics), (tensor) => tensor.layer.join("/"));
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

// ---- The page

function drawSections() {
  const sections = [...document.querySelectorAll("main section:not([hidden])")];
  byId("sections").append(...sections.map((section) =>
    element("li", {}, element("a", { href: `#${section.id}`, textContent: section.querySelector("h2").textContent }))));
  byId("made-by").textContent = `Made by tfckpt ${report.tfckpt}.`;
}

function showTensor(tensor) {
  tensorsTable.filter(tensor.name);
  byId("tensors").scrollIntoView();
}

drawSummary();
drawTreemap();
drawMapping();
const tensorsTable = drawTensors();
drawLayers();
drawSections();
