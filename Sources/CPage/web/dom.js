// Elements, dialogs and notices. Text reaches the document as text nodes and attributes only: names
// and labels are written by anybody who may create a session.

/**
 * An element, by a tag and classes such as "td.right". Attributes may follow,
   whose names begin with
 * "on" for listeners; null and false leave one out. The rest are children.
 */
export function el(selector, ...children) {
  const [tag, ...classes] = selector.split(".");
  const node = document.createElement(tag);
  if (classes.length > 0) node.className = classes.join(" ");
  const attributes = children[0]?.constructor === Object ? children.shift() : {};
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name,
      value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function button(text, onclick, classes = "", attributes = {}) {
  return el(`button${classes}`, { type: "button", onclick, ...attributes }, text);
}

/** A table that scrolls by itself where it is too wide. Columns from `right` on are aligned so. */
export function table(label, heads, body, right = 99) {
  return el("div.scroll", { tabindex: "0", role: "region", "aria-label": label },
    el("table", el("thead", el("tr", heads.map((head, index) =>
      el(index >= right && head ? "th.right" : "th", head)))), body));
}

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Sets the text of a node, unless it has that text already. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function notify(text, kind = "info") {
  const notice = el(`div.notice.${kind}`, text);
  document.getElementById("notices").append(notice);
  setTimeout(() => notice.remove(), kind === "error" ? 12000 : 5000);
}

/**
 * Asks in a dialog. Resolves to the values of the fields by name, or to null if it was cancelled.
 * A field is {name, label, type, value, required, hint}.
 */
export function ask({ title, text, action = "Continue", danger = false, fields = [] }) {
  return new Promise((resolve) => {
    const inputs = fields.map((field) =>
      el("input", {
        name: field.name, type: field.type ?? "text", value: field.value ?? null,
        required: field.required ?? false, autocomplete: "off", spellcheck: "false",
        id: `field-${field.name}`,
      }));
    const form = el("form", { method: "dialog" },
      el("h2", { id: "dialog-title" }, title),
      text ? el("p", text) : null,
      fields.map((field, index) => el("label", { for: `field-${field.name}` },
        field.label, inputs[index])),
      el("div.actions",
        button("Cancel", () => dialog.close(""), ".quiet"),
        el("button", { value: "yes", class: danger ? "danger" : "primary" }, action)));
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, form);
    dialog.addEventListener("close", () => {
      const values = Object.fromEntries(inputs.map((input) => [input.name, input.value]));
      resolve(dialog.returnValue === "yes" ? values : null);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A group of buttons of which one is pressed. `options` are [value, label]. */
export function choice(label, options, value, onchange) {
  const buttons = options.map(([key, text]) =>
    el("button", {
      type: "button", "aria-pressed": String(key === value),
      onclick: () => {
        for (const [index, button] of buttons.entries())
          button.setAttribute("aria-pressed", String(options[index][0] === key));
        onchange(key);
      },
    }, text));
  return el("div.choice", { role: "group", "aria-label": label }, buttons);
}

/** A drop-down with a label. `options` are [value, label]. */
export function picker(label, options, value, onchange) {
  const select = el("select", { "aria-label": label, onchange: () => onchange(select.value) },
    options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
  return select;
}

export function saveAs(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

/** Calls `update` at most once per frame and not more often than every `milliseconds`. */
export function throttled(update, milliseconds = 100) {
  let waiting = false;
  let last = 0;
  return () => {
    if (waiting) return;
    waiting = true;
    const wait = Math.max(0, last + milliseconds - performance.now());
    setTimeout(() => requestAnimationFrame(() => {
      waiting = false;
      last = performance.now();
      update();
    }), wait);
  };
}
