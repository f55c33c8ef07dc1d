// The names as a tree, in which siblings that differ in their numbers alone are one. A click copies a name.

const KEY_END = "/.ATTRIBUTES/VARIABLE_VALUE"; // ends the key of every variable of an object
const MOST_PARTS = 100; // of a name; what follows stays in one piece
const MOST_LINES = 500; // of one branch that are drawn
const OPEN_LINES = 60; // so many may be open at first

class Names {
  /** Draw the names of tensors into `target`, and say in `status` what was copied. */
  constructor(target, status, tensors) {
    this.status = status;
    this.known = new Map(); // of branches that hold the same: one number for each form
    const root = { tensor: null, children: new Map() };
    for (const tensor of tensors) this.add(root, tensor);
    this.fold(root);
    let lines = 0;
    const open = new Set();
    for (let level = root.folded; level.length && lines + level.length <= OPEN_LINES;) {
      lines += level.length;
      level.forEach((branch) => open.add(branch));
      level = level.flatMap((branch) => branch.folded);
    }
    target.append(this.list(root, open));
  }

  add(root, tensor) {
    const parts = tensor.name.slice(0, tensor.name.length - endOf(tensor).length).split("/");
    parts.push(...(parts.length > MOST_PARTS ? [parts.splice(MOST_PARTS - 1).join("/")] : []));
    let branch = root;
    for (const part of parts) {
      if (!branch.children.has(part)) {
        branch.children.set(part, { label: part, glob: part, tensor: null, own: 0, bytes: 0, tensors: 0, children: new Map() });
      }
      branch = branch.children.get(part);
      branch.bytes += tensor.nbytes;
      branch.tensors += 1;
    }
    branch.tensor = tensor;
    branch.own = 1;
  }

  /** Put equal branches together, from the leaves up; return a number that is one for equal branches. */
  fold(branch) {
    const forms = new Map([...branch.children.values()].map((child) => [child, this.fold(child)]));
    const groups = groupBy([...forms.keys()], (child) => {
      const stem = child.label.match(/^(.*?)[0-9]{1,9}$/s);
      return JSON.stringify(stem ? [stem[1], forms.get(child)] : [child.label, null]);
    });
    branch.folded = [...groups.values()].map(asOne).sort((a, b) => natural.compare(a.label, b.label));
    const { tensor } = branch;
    const form = JSON.stringify([tensor && [tensor.dtype, tensor.shape], branch.folded.map((child) => [child.label, forms.get(child.first || child)])]);
    if (!this.known.has(form)) this.known.set(form, this.known.size);
    return this.known.get(form);
  }

  list(branch, open, above = "") {
    const shown = branch.folded.slice(0, MOST_LINES);
    const items = shown.map((child) => element("li", {}, ...this.lines(child, open, above)));
    const rest = branch.folded.length - shown.length;
    if (rest) items.push(element("li", { textContent: `and ${exact(rest)} more; the table below has all` }));
    return element("ul", { className: "names" }, ...items);
  }

  /** Return the elements of one branch: a tensor's button, and what is below it, which is drawn when it is opened. */
  lines(branch, open, above) {
    const glob = above + branch.glob;
    const own = branch.tensor ? [this.leaf(branch, glob)] : [];
    if (!branch.folded.length) return own;
    const bytes = branch.bytes - (branch.tensor ? branch.own * branch.tensor.nbytes : 0);
    const what = `${plural(branch.tensors - branch.own, "tensor")}, ${human(bytes)}${above.includes("*") ? " each" : ""}`;
    const details = element("details", {}, element("summary", {},
      element("span", { className: "code", textContent: `${branch.label || "(no name)"}/` }), ` ${what}`));
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(this.list(branch, open, `${glob}/`));
    });
    details.open = open.has(branch);
    return [...own, details];
  }

  leaf(branch, glob) {
    const { tensor } = branch;
    const name = glob + endOf(tensor);
    const button = element("button", { type: "button", className: "copy code", textContent: branch.label || "(no name)" });
    button.title = `Copy ${name}`;
    button.addEventListener("click", () => this.copy(name));
    return element("span", {}, button, ` ${tensor.dtype} [${tensor.shape.join(", ")}]`);
  }

  async copy(name) {
    const said = (await copied(name)) ? "Copied" : "This browser does not let a page copy; the name is";
    this.status.textContent = `${said}: ${name}`;
  }
}

function endOf(tensor) {
  return tensor.name.endsWith(KEY_END) ? KEY_END : "";
}

/** Return one branch for several equal ones: its label has their numbers, its glob stands for the names of all. */
function asOne(branches) {
  if (branches.length === 1) return branches[0];
  const [, stem] = branches[0].label.match(/^(.*?)[0-9]{1,9}$/s);
  const numbers = branches.map((branch) => branch.label.slice(stem.length));
  return { ...branches[0], first: branches[0], label: `${stem}[${ranges(numbers)}]`, glob: `${stem}*`,
    own: sum(branches, (branch) => branch.own), bytes: sum(branches, (branch) => branch.bytes),
    tensors: sum(branches, (branch) => branch.tensors) };
}

/** Return numbers in short: those that follow one another as a range. */
function ranges(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b || a.length - b.length);
  const runs = [];
  for (const number of sorted) {
    const run = runs[runs.length - 1];
    if (run && Number(number) === Number(run[1]) + 1) run[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(",");
}

/** Copy a text; return whether that was let happen. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement;
    const area = element("textarea", { value: text, ariaHidden: "true" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before.focus();
    return done;
  }
}
