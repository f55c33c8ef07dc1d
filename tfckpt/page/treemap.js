// Where the bytes are: a treemap of one module at a time. An area is a button; Tab stops once, arrows move on from there.

const MOST_TILES = 200; // in one area; smaller ones are put together
const INNER_LEVELS = 8; // drawn inside an area, to show what is below
const UNIT = 5; // pixels of what areas are measured in
const INNER_AREA = 4; // what is smaller is not divided any more
const LABEL = { character: 1.4, most: 9, height: 12, line: 6 }; // what a label takes, of which so many characters have to fit

class Treemap {
  /** Draw tensors into `map`, and the way to what is shown into `crumbs`; `choose` is called with a tensor. */
  constructor(map, crumbs, tensors, choose) {
    Object.assign(this, { map, crumbs, choose, total: sum(tensors, (tensor) => tensor.nbytes) });
    this.root = firstChoice(makeTree(tensors));
    map.addEventListener("keydown", (event) => this.move(event));
    this.draw(this.root);
    new ResizeObserver(() => this.resize()).observe(map);
  }

  /** Return the room that there is, as wide as the page lets it be. */
  room() {
    return { x: 0, y: 0, width: this.map.clientWidth / UNIT || 1, height: this.map.clientHeight / UNIT || 1 };
  }

  resize() {
    const { width, height } = this.room();
    if (width === this.whole.width && height === this.whole.height) return;
    const at = [...this.map.children].indexOf(document.activeElement);
    this.draw(this.shown);
    if (at >= 0) this.focus(this.map.children[at]);
  }

  /** Show a node, and go to one of its areas. */
  open(node, area) {
    this.draw(node);
    const tiles = [...this.map.children];
    if (tiles.length) this.focus(tiles.find((tile) => tile.node === area) || tiles[0]);
  }

  draw(node) {
    this.shown = node;
    this.whole = this.room();
    const tiles = squarify(below(node), this.whole).map((area) => place(this.makeTile(area), area, this.whole));
    tiles.forEach((tile, n) => (tile.tabIndex = n ? -1 : 0));
    this.map.replaceChildren(...tiles);
    this.drawCrumbs();
  }

  makeTile({ node, width, height }) {
    const size = `${human(node.bytes)}, ${percent(node.bytes, this.total)}`;
    const content = node.tensor ? "tensor" : plural(node.tensors, "tensor");
    const tile = element("button", { type: "button", className: `tile ${nodeClass(node)}`, node });
    tile.setAttribute("aria-label", `${node.label}, ${size}, ${content}`);
    tile.title = `${node.label}: ${exact(node.bytes)} bytes, ${content}`;
    tile.addEventListener("click", () => (node.children.size ? this.open(node) : this.choose(node.tensor)));
    drawInside(tile, node, { width, height }, INNER_LEVELS, hasRoom({ width, height }, node.label));
    const label = element("span", { className: "label" }, element("span", { className: "name", textContent: node.label }), ` ${size}`);
    const isWide = width >= LABEL.character * Math.min(node.label.length, LABEL.most);
    if (isWide && height >= LABEL.line * 0.7) tile.append(label);
    return tile;
  }

  drawCrumbs() {
    const steps = [];
    for (let node = this.shown; node; node = node === this.root ? null : this.parentOf(node)) steps.unshift(node);
    this.crumbs.replaceChildren(...steps.map((node) => {
      const button = element("button", { type: "button", textContent: node === this.root ? "everything" : node.label });
      if (node === this.shown) button.setAttribute("aria-current", "location");
      button.addEventListener("click", () => this.open(node));
      return element("li", {}, button);
    }));
  }

  /** Return the node that was shown before this one: nodes with a single child are no step. */
  parentOf(node) {
    let { parent } = node;
    while (parent !== this.root && parent.children.size === 1 && !parent.tensor) parent = parent.parent;
    return parent;
  }

  move(event) {
    const tiles = [...this.map.children];
    const at = tiles.indexOf(document.activeElement);
    const moves = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: tiles.length - 1 };
    if (event.key in moves) this.focus(tiles[Math.min(Math.max(moves[event.key], 0), tiles.length - 1)]);
    else if (event.key === "Escape" && this.shown !== this.root) this.open(this.parentOf(this.shown), this.shown);
    else return;
    event.preventDefault();
  }

  focus(tile) {
    for (const other of this.map.children) other.tabIndex = -1;
    tile.tabIndex = 0;
    tile.focus();
  }
}

/** Draw what is below a node into its element, a few levels deep; what is next below has its name, and so has each layer. */
function drawInside(outer, node, box, levels, isNamed) {
  if (!levels || box.width * box.height < INNER_AREA) return;
  const head = isNamed ? LABEL.line : 0;
  for (const area of squarify(below(node), { x: 0, y: head, width: box.width, height: box.height - head })) {
    const inner = place(element("span", { className: `inner ${nodeClass(area.node)}` }), area, box);
    const named = (levels === INNER_LEVELS || area.node.isLayer) && hasRoom(area, area.node.label);
    drawInside(inner, area.node, area, levels - 1, named);
    if (named) inner.append(element("span", { className: "label", textContent: area.node.label }));
    outer.append(inner);
  }
}

function hasRoom({ width, height }, label) {
  return width >= LABEL.character * (Math.min(label.length, LABEL.most) + 1) && height >= LABEL.height;
}

// ---- The tree of modules

function makeTree(tensors) {
  const root = makeNode("", null);
  for (const tensor of tensors) {
    let node = root;
    count(node, tensor);
    for (const [n, part] of tensor.path.entries()) {
      if (!node.children.has(part)) {
        node.children.set(part, makeNode(part || "(no name)", node));
      }
      node = node.children.get(part);
      node.isLayer ||= n === tensor.layer.length - 1;
      count(node, tensor);
    }
    node.tensor = tensor;
  }
  return root;
}

function makeNode(name, parent) {
  return { name, label: name, parent, children: new Map(), bytes: 0, tensors: 0, isLayer: false, kinds: new Map() };
}

function count(node, tensor) {
  node.bytes += tensor.nbytes;
  node.tensors += 1;
  node.kinds.set(tensor.kind, (node.kinds.get(tensor.kind) || 0) + tensor.nbytes);
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
  const made = makeNode(`${exact(nodes.length)} smaller ones`, parent);
  for (const node of nodes) {
    made.children.set(node, node);
    made.bytes += node.bytes;
    made.tensors += node.tensors;
    for (const [kind, bytes] of node.kinds) made.kinds.set(kind, (made.kinds.get(kind) || 0) + bytes);
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

/** Return a node for a tensor that has others below it, to stand beside them. */
function itself(node) {
  const made = makeNode(`${node.name} itself`, node);
  count(made, node.tensor);
  return Object.assign(made, { tensor: node.tensor });
}

/** Return the class for a node's colour: none of its own if there are several kinds below it. */
function nodeClass(node) {
  const kinds = [...node.kinds].filter(([, bytes]) => bytes > 0);
  return kinds.length === 1 ? `kind-${kinds[0][0]}` : "kind-mixed";
}

// ---- Areas

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
