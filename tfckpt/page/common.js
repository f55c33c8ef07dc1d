"use strict";

// What the other scripts use. Texts are only ever set as text: a name cannot become markup.

const grouped = new Intl.NumberFormat("en");
const natural = new Intl.Collator("en", { numeric: true });

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
