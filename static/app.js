/* AfterImage: small behaviours that the markup declares with data-attributes. Listeners sit on the document, so that
   fragments swapped in by htmx need nothing. Loaded in <head> before the first paint, for the theme's sake. */
"use strict";
(() => {
  const root = document.documentElement;
  const on = (name, listener, options) => document.addEventListener(name, listener, options);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, props = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), props);
    element.append(...children);
    return element;
  };

  // Theme: stored only while it differs from the system's.
  const systemTheme = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const showTheme = () => { root.dataset.theme = localStorage.getItem("theme") || systemTheme(); };
  const flipTheme = () => {
    const next = root.dataset.theme === "dark" ? "light" : "dark";
    if (next === systemTheme()) localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
    showTheme();
  };
  root.classList.add("js");
  showTheme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  addEventListener("storage", showTheme);

  // Toasts: errors stay until they are closed.
  const leave = (toast) => {
    toast.classList.add("leaving");
    setTimeout(() => toast.remove(), 300);
  };
  const timeToast = (toast) => {
    if (toast.dataset.timed || toast.matches(".error")) return;
    toast.dataset.timed = "yes";
    const tryLater = () => setTimeout(() => (toast.matches(":hover, :focus-within") ? tryLater() : leave(toast)), 6000);
    tryLater();
  };
  const toast = (text, level = "info") => {
    const close = make("button", { type: "button", className: "button quiet small icon-only", textContent: "×", ariaLabel: "Close" });
    close.dataset.closeToast = "";
    const box = make("div", { className: `toast ${level}`, role: level === "error" ? "alert" : "status" }, make("div", { textContent: text }), close);
    document.getElementById("toasts")?.append(box);
    timeToast(box);
  };
  on("toast", (event) => toast(event.detail.text, event.detail.level));

  // Confirmation: data-confirm on a button or link, or hx-confirm.
  const ask = (question, label = "Yes, go on") =>
    new Promise((resolve) => {
      const yes = make("button", { className: "button primary", value: "yes", textContent: label, autofocus: true });
      const no = make("button", { className: "button quiet", value: "no", textContent: "Go back" });
      const form = make("form", { method: "dialog" }, make("p", { textContent: question }), make("div", { className: "form-actions" }, no, yes));
      const dialog = make("dialog", { className: "dialog" }, form);
      dialog.addEventListener("close", () => { resolve(dialog.returnValue === "yes"); dialog.remove(); });
      document.body.append(dialog);
      dialog.showModal();
    });
  on("click", (event) => {
    const element = event.target.closest("[data-confirm]");
    if (!element || element.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(element.dataset.confirm, element.dataset.confirmButton || element.textContent.trim()).then((sure) => {
      if (!sure) return;
      element.dataset.confirmed = "yes";
      element.click();
      delete element.dataset.confirmed;
    });
  }, true);
  on("htmx:confirm", (event) => {
    if (!event.detail.question) return;
    event.preventDefault();
    ask(event.detail.question, event.target.dataset.confirmButton).then((sure) => sure && event.detail.issueRequest(true));
  });

  // Everything that one click does.
  const copy = async (button) => {
    const text = button.dataset.copyText ?? document.querySelector(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied.", "success");
    } catch {
      toast("The browser did not allow copying: select the text and copy it by hand.", "error");
    }
  };
  const besides = matchMedia("(min-width: 60.01rem)"); // narrower, the panels lie below each other and links jump to them
  const showPanel = (link) => {
    const panel = document.querySelector(link.hash);
    if (!panel || !besides.matches) return;
    if (panel.hidden) panel.parentElement.scrollTop = 0;
    for (const other of all("[data-panel]", panel.parentElement)) other.hidden = other !== panel;
    for (const other of all("[data-shows]")) other.setAttribute("aria-expanded", other === link);
  };
  const clicks = {
    "[data-theme-toggle]": flipTheme,
    "[data-close-toast]": (button) => leave(button.closest(".toast")),
    "[data-close]": (button) => button.closest("dialog").close(),
    "[data-dialog]": (button) => document.getElementById(button.dataset.dialog).showModal(),
    "[data-copy], [data-copy-text]": copy,
    "[data-shows]": showPanel,
    "[data-cheat-sheet]": () => showKeys(),
    "[data-select-matching]": (button) => pickMatching(button),
    "[data-rows] tbody input[type=checkbox]": (box, event) => pickRange(box, event.shiftKey),
  };
  on("click", (event) => {
    for (const [selector, act] of Object.entries(clicks)) {
      const element = event.target.closest(selector);
      if (element) act(element, event);
    }
    if (event.target.matches("dialog.dialog")) event.target.close(); // the backdrop
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // Keyboard: data-key names the key that clicks (or, in a field, focuses) an element.
  const keyed = () => all("[data-key]").filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled);
  const keysOf = (element) => element.dataset.key.split(" ");
  const typing = (target) => target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
  const pressed = (event) => (event.ctrlKey || event.metaKey ? "mod+" : "") + event.key;
  const last = new WeakMap();
  const press = (element) => {
    const now = performance.now();
    if (element.hasAttribute("data-key-once") && now - (last.get(element) ?? -Infinity) < 250) return;
    last.set(element, now);
    if (element.matches("input, textarea, select")) element.focus();
    else element.click();
  };
  const nameOf = (element) => element.dataset.keyTitle || element.getAttribute("aria-label") || element.textContent.trim();
  const SIGNS = { "mod+": "Ctrl ", Enter: "↵", ArrowRight: "→", ArrowLeft: "←", ArrowDown: "↓", ArrowUp: "↑" };
  const spelled = (key) => key.replace(/mod\+|Enter|Arrow\w+/g, (part) => SIGNS[part] ?? part);
  const showKeys = () => {
    const list = make("div", { className: "keys" });
    const row = (keys, name) => {
      const cell = make("span");
      for (const key of keys) cell.append(make("kbd", { textContent: spelled(key) }), " ");
      list.append(cell, make("span", { textContent: name }));
    };
    for (const [key, [name]] of rowKeys()) row([key], name);
    for (const element of keyed()) row(keysOf(element), nameOf(element));
    row(["?"], "Show these keys");
    const form = make("form", { method: "dialog" }, make("h2", { textContent: "Keys on this page" }), list,
      make("div", { className: "form-actions" }, make("button", { className: "button", textContent: "Close", autofocus: true })));
    const dialog = make("dialog", { className: "dialog" }, form);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  };
  on("keydown", (event) => {
    if (event.key === "Escape") for (const menu of all("details.menu[open]")) menu.open = false;
    if (event.key === "Escape" && typing(event.target)) event.target.blur(); // so that keys are keys again
    const key = pressed(event);
    const chord = key.startsWith("mod+");
    if (event.defaultPrevented || event.isComposing || event.altKey || document.querySelector("dialog:modal") && !chord) return;
    if (typing(event.target) && !chord) return;
    if (key === "?") return showKeys();
    const scope = document.querySelector("dialog:modal");
    const element = keyed().find((one) => keysOf(one).includes(key) && (!scope || scope.contains(one)));
    const move = !element && !scope && rowKeys().find(([name]) => name === key);
    if (move) return void (event.preventDefault(), move[1][1]());
    if (!element || (event.repeat && element.hasAttribute("data-key-once"))) return;
    event.preventDefault();
    press(element);
  });

  // Rows of a list: j and k go from one to the next, x ticks, as in mail programs.
  const rows = () => all("[data-rows] tbody tr");
  const rowHere = () => rows().find((row) => row.contains(document.activeElement));
  const goRow = (by) => {
    const among = rows();
    const to = among[Math.max(0, Math.min(among.length - 1, among.indexOf(rowHere()) + by))];
    to?.querySelector(".row-link").focus();
    return to;
  };
  const ROW_KEYS = {
    j: ["Next row", () => goRow(1)],
    k: ["Previous row", () => goRow(-1)],
    x: ["Tick the row", () => (rowHere() ?? goRow(1)).querySelector("input[type=checkbox]").click()],
  };
  const rowKeys = () => Object.entries(ROW_KEYS).filter(([key]) => document.querySelector(key === "x" ? "[data-rows] tbody input" : "[data-rows]"));

  // Selection: one box ticks all of a name, Shift all in between, and the number is shown.
  const boxesOf = (form) => all("tbody input[type=checkbox]", form);
  const countPicks = (form) => {
    const boxes = boxesOf(form);
    const picked = boxes.filter((box) => box.checked).length;
    const everything = form.querySelector("[data-select-matching][hidden]");
    for (const place of all("[data-selected-count]", form)) place.textContent = everything?.dataset.selectMatching ?? `${picked} selected`;
    for (const master of all("[data-select-all]", form)) {
      master.checked = picked > 0 && picked === boxes.length;
      master.indeterminate = picked > 0 && picked < boxes.length;
    }
  };
  on("change", (event) => {
    const form = event.target.closest("form:has([data-selected-count])");
    const master = event.target.closest("[data-select-all]");
    if (master) for (const box of all(`input[name="${master.dataset.selectAll}"]`, form)) box.checked = master.checked;
    if (form) countPicks(form);
  });
  let lastPick = null;
  const pickRange = (box, through) => {
    const boxes = boxesOf(box.closest("table"));
    const [from, to] = [boxes.indexOf(lastPick), boxes.indexOf(box)].sort((a, b) => a - b);
    if (through && from >= 0) for (const one of boxes.slice(from, to + 1)) one.checked = box.checked;
    lastPick = box;
  };
  on("mousedown", (event) => { if (event.shiftKey && event.target.matches("[data-rows] input")) event.preventDefault(); }); // marks no text
  // All that match: the boxes stay ticked for the eye, but are not sent, so that the form means its filter alone.
  const pickMatching = (button) => {
    for (const box of all("input[type=checkbox]", button.form)) Object.assign(box, { checked: true, disabled: true });
    button.hidden = true;
    countPicks(button.form);
  };
  on("reset", (event) => {
    if (!event.target.matches("[data-picks]")) return;
    for (const box of all("input[type=checkbox]", event.target)) box.disabled = false;
    for (const button of all("[data-select-matching]", event.target)) button.hidden = false;
    setTimeout(() => countPicks(event.target)); // once they are unticked
  });
  // What was ticked stays so where a list is brought anew, and where the browser fills in a form on the way back.
  let kept = new Set();
  on("htmx:beforeSwap", () => { kept = new Set(all("[data-picks] tbody :checked:not(:disabled)").map((box) => box.value)); });
  const keepPicks = () => {
    for (const form of all("[data-picks]")) {
      for (const box of boxesOf(form)) box.checked ||= kept.has(box.value);
      countPicks(form);
    }
  };
  on("htmx:load", keepPicks);
  addEventListener("pageshow", keepPicks);

  // Drop zone: files and whole folders; the list of names works for chosen files too.
  const readable = (size) => (size < 1000 ? `${size} B` : size < 1e6 ? `${(size / 1000).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`);
  // Browsers send a file without the folder that it stood in: forms that ask for `paths` get them in the order of the files.
  const dropped = new WeakMap();
  const pathOf = (file) => dropped.get(file) || file.webkitRelativePath || file.name;
  on("formdata", (event) => {
    if (!event.formData.has("paths")) return;
    const files = all("input[type=file]", event.target).flatMap((input) => [...input.files]);
    event.formData.set("paths", JSON.stringify(files.map(pathOf)));
  });
  const listFiles = (input) => {
    const list = input.closest(".drop").querySelector(".drop-list");
    list.replaceChildren(...[...input.files].map((file) =>
      make("li", {}, make("span", { textContent: pathOf(file) }), make("span", { className: "muted nowrap", textContent: readable(file.size) }))));
  };
  const filesIn = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((done, fail) => entry.file(done, fail));
      dropped.set(file, entry.fullPath.replace(/^\//, ""));
      return [file];
    }
    const reader = entry.createReader();
    const found = [];
    for (;;) { // a reader hands out at most a hundred entries at a time
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return found;
      for (const child of some) if (!child.name.startsWith(".")) found.push(...(await filesIn(child)));
    }
  };
  const takeDrop = async (input, transfer) => {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = entries.length ? (await Promise.all(entries.map(filesIn))).flat() : [...transfer.files];
    const bag = new DataTransfer();
    for (const file of input.multiple ? [...input.files, ...files] : files.slice(0, 1)) bag.items.add(file);
    input.files = bag.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const overDrop = (event) => {
    const zone = event.target.closest?.(".drop");
    for (const other of all(".drop.over")) other.classList.toggle("over", other === zone && event.type === "dragover");
    if (!zone) return null;
    event.preventDefault();
    zone.classList.toggle("over", event.type === "dragover");
    return zone.querySelector("input[type=file]");
  };
  for (const name of ["dragover", "dragleave"]) on(name, overDrop);
  on("drop", (event) => {
    const input = overDrop(event);
    if (!input) return;
    takeDrop(input, event.dataTransfer).catch(() => toast("These files could not be read: choose them with the button instead.", "error"));
  });
  on("change", (event) => { if (event.target.matches(".drop input[type=file]")) listFiles(event.target); });

  // A field takes no more than it may hold: what a browser would cut off without a word is said.
  on("paste", (event) => {
    const { maxLength: most, value, selectionStart, selectionEnd } = event.target;
    const over = most > 0 && value.length - (selectionEnd - selectionStart) + event.clipboardData.getData("text").length - most;
    if (over > 0) toast(`At most ${most} characters fit here: the last ${over} of what you pasted are cut off.`, "warning");
  });

  // Requests: a thin bar after 300 ms, busy buttons, and words for what failed.
  const waiting = new Set();
  const watch = (request) => {
    waiting.add(request);
    setTimeout(() => root.classList.toggle("busy", waiting.size > 0), 300);
  };
  const unwatch = (request) => {
    waiting.delete(request);
    root.classList.toggle("busy", root.classList.contains("busy") && waiting.size > 0);
  };
  on("htmx:beforeSend", (event) => watch(event.detail.xhr));
  on("htmx:afterRequest", (event) => unwatch(event.detail.xhr));
  const setBusy = (button, busy) => (busy ? button.setAttribute("aria-busy", "true") : button.removeAttribute("aria-busy"));
  on("submit", (event) => {
    const button = event.submitter;
    if (event.defaultPrevented || event.target.getAttribute("method")?.toLowerCase() !== "post" || !button?.matches(".button")) return;
    setTimeout(() => setBusy(button, true));
    setTimeout(() => setBusy(button, false), 10000); // the answer may be a download
  });
  addEventListener("pageshow", () => all("[aria-busy]").forEach((button) => setBusy(button, false)));
  const polls = (event) => event.detail.requestConfig?.triggeringEvent === undefined && event.detail.elt?.getAttribute("hx-trigger")?.includes("every");
  on("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 401 || status === 403) toast("You are signed out or may not do this. Reload the page.", "error");
    else if (status === 404) toast("This no longer exists. Reload the page.", "error");
    else if (!polls(event)) toast("The server could not do this. Try again; if it fails again, ask whoever runs this server.", "error");
  });
  on("htmx:sendError", (event) => { if (!polls(event)) toast("The server did not answer. Check that it runs and try again.", "error"); });

  // The panel beside a conversation follows what is read: the turn that crosses the middle of the window.
  const reading = new IntersectionObserver((entries) => {
    const entry = entries.find((one) => one.isIntersecting);
    const link = entry?.target.querySelector("[data-shows]");
    if (link) showPanel(link);
  }, { rootMargin: "-45% 0px -54%" });
  const settle = () => {
    all(".toast").forEach(timeToast);
    if (besides.matches) document.querySelector(".tree [aria-current]")?.scrollIntoView({ block: "nearest" });
    const links = all("[data-shows]");
    for (const link of links) reading.observe(link.closest(".turn") ?? link);
    if (links.length && !links.some((link) => link.ariaExpanded === "true")) {
      showPanel(links.find((link) => link.hash === location.hash) ?? links[0]);
    }
  };
  on("DOMContentLoaded", settle);

  // Where typing begins: at the first field that is wrong, whatever fold it is in, or in a form that is there to be filled in.
  const begin = () => {
    const wrong = all("main [aria-invalid=true]").filter((field) => field.type !== "hidden");
    for (const field of wrong) for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    const place = wrong[0] ?? document.querySelector("main form[data-begin] :is(input:not([type=hidden], [type=checkbox], [type=radio], [type=file]), textarea)");
    if (place && !matchMedia("(pointer: coarse)").matches && !location.hash && !document.querySelector(":focus")) place.focus();
  };
  on("DOMContentLoaded", begin);
  on("htmx:load", settle);

  // The words of a question are marked in what it found, without touching the text.
  const markAsked = () => {
    if (!CSS.highlights) return;
    const found = new Highlight();
    for (const box of all("[data-asked]")) {
      const words = box.dataset.asked.match(/[\p{L}\p{N}]{3,}/gu) ?? [];
      if (!words.length) continue;
      const wanted = new RegExp(`(?<![\\p{L}\\p{N}])(?:${words.join("|")})`, "giu");
      const texts = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
      for (let text = texts.nextNode(); text; text = texts.nextNode()) {
        for (const { index, 0: word } of text.data.matchAll(wanted)) {
          found.add(new StaticRange({ startContainer: text, startOffset: index, endContainer: text, endOffset: index + word.length }));
        }
      }
    }
    CSS.highlights.set("asked", found);
  };
  on("DOMContentLoaded", markAsked);
  on("htmx:load", markAsked);

  // The numbers under a chart stay open when a poll brings the chart anew.
  const caption = (details) => details.closest("figure").querySelector("figcaption").textContent;
  let opened = new Set();
  on("htmx:beforeSwap", () => { opened = new Set(all("figure details[open]").map(caption)); });
  on("htmx:load", () => { for (const details of all("figure details")) details.open ||= opened.has(caption(details)); });
})();
