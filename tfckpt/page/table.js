// Tables that sort and filter.

const FIRST_ROWS = 200; // that are drawn unless asked for more

class Table {
  /**
   * Fill an element with a table.
   * columns: {label, value(row), cell(row), className}; the first one's cells head their rows. A cell is a text or a node.
   * search(row): the texts that the filter looks at. choice: {label, value(row)}, a menu that leaves one kind of row.
   */
  constructor(target, { caption, noun, columns, rows, search, choice }) {
    Object.assign(this, { id: target.id, noun, columns, rows, search, choice });
    Object.assign(this, { column: null, down: false, kind: "", limit: FIRST_ROWS, matches: () => true });
    this.heads = columns.map((column, n) => this.makeHead(column, n));
    this.body = element("tbody", {});
    this.status = element("p", { role: "status" });
    this.more = element("button", { type: "button" });
    this.more.addEventListener("click", () => this.set({ limit: this.limit * 10 }));
    this.scroll = element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `${caption}, scrolls` },
      element("table", {}, element("caption", { textContent: caption }),
        element("thead", {}, element("tr", {}, ...this.heads)), this.body));
    target.append(this.makeTools(), this.scroll, this.more);
    this.draw();
  }

  makeHead(column, n) {
    const button = element("button", { type: "button", textContent: column.label });
    button.addEventListener("click", () => this.sort(n));
    return element("th", { scope: "col", className: column.className || "", ariaSort: "none" }, button);
  }

  makeTools() {
    this.input = element("input", { type: "search", id: `${this.id}-search`, autocomplete: "off", spellcheck: false });
    this.input.addEventListener("input", () => this.set({ matches: matcher(this.input.value) }));
    this.menu = element("select", { id: `${this.id}-kind` });
    this.menu.addEventListener("change", () => this.set({ kind: this.menu.value }));
    const tools = element("div", { className: "tools" }, labelled(this.input, "Filter: words, or globs such as *kernel"));
    if (this.choice) {
      const kinds = [...groupBy(this.rows, this.choice.value)].map(([kind, rows]) => [kind, `${kind} (${exact(rows.length)})`]);
      this.menu.append(...[["", "all"], ...kinds].map(([value, textContent]) => element("option", { value, textContent })));
      tools.append(labelled(this.menu, this.choice.label));
    }
    tools.append(this.status);
    return tools;
  }

  /** Sort by a column: numbers from the largest down, at first; again, and the order turns round. */
  sort(n) {
    const down = this.column === n ? !this.down : this.columns[n].className === "number";
    this.heads.forEach((head, m) => (head.ariaSort = m !== n ? "none" : down ? "descending" : "ascending"));
    this.set({ column: n, down });
  }

  /** Leave what a text finds, and go there. */
  filter(text) {
    this.input.value = text;
    this.menu.value = "";
    this.set({ kind: "", matches: matcher(text) });
    this.scroll.focus();
  }

  set(changes) {
    Object.assign(this, { limit: FIRST_ROWS }, changes);
    this.draw();
  }

  draw() {
    const found = this.chosen();
    const drawn = found.slice(0, this.limit);
    this.body.replaceChildren(...drawn.map((row) => this.makeRow(row)));
    this.status.textContent = `${exact(found.length)} of ${plural(this.rows.length, this.noun)}`;
    this.more.hidden = drawn.length === found.length;
    this.more.textContent = `Show ${exact(Math.min(found.length, this.limit * 10))} rows`;
  }

  chosen() {
    const found = this.rows.filter((row) => (!this.kind || this.choice.value(row) === this.kind) && this.matches(this.search(row)));
    if (this.column === null) return found;
    const { value } = this.columns[this.column];
    const sign = this.down ? -1 : 1;
    return found.sort((a, b) => sign * compare(value(a), value(b)));
  }

  makeRow(row) {
    return element("tr", {}, ...this.columns.map((column, n) => {
      const content = (column.cell || column.value)(row) ?? "";
      const properties = n ? {} : { scope: "row" };
      return element(n ? "td" : "th", { ...properties, className: column.className || "" }, content);
    }));
  }
}

function labelled(control, text) {
  return element("div", {}, element("label", { htmlFor: control.id, textContent: text }), control);
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

/** Compare numbers as numbers, texts with the numbers in them as numbers; what is not there comes last. */
function compare(a, b) {
  if (a === null || b === null || a === "" || b === "") return (a === null || a === "") - (b === null || b === "");
  return typeof a === "number" && typeof b === "number" ? a - b : natural.compare(String(a), String(b));
}
