// Without this file every page works. It refreshes the live part of a page while somebody looks at it, and clears what was
// revealed when the page is left.
"use strict";
(() => {
  let shown = null;
  const live = () => document.getElementById("live");
  const main = document.querySelector("main");
  const every = Number(main && main.dataset.every);
  const refresh = () => { const part = live(); if (part && !document.hidden) part.dispatchEvent(new Event("refresh")); };
  const clear = () => {
    const part = live();
    if (part && part.dataset.revealed !== undefined) part.textContent = "Hidden. Reload the page to see it again.";
    shown = null;
  };
  if (every > 0) setInterval(refresh, every * 1000);
  document.addEventListener("visibilitychange", refresh);
  // The page may be kept for "Back", and an answer that failed must not leave old values on the screen.
  window.addEventListener("pagehide", clear);
  document.addEventListener("htmx:error", clear);
  document.addEventListener("htmx:response:error", clear);

  // What did not change stays as it is: a selection in it, and the details that are open.
  document.addEventListener("htmx:after:request", (event) => {
    const { text, response } = event.detail.ctx;
    if (response.status < 400 && text === shown) event.preventDefault();
    else shown = text;
  });
  let open = [];
  document.addEventListener("htmx:before:swap", () => {
    open = [...document.querySelectorAll("#live details")].map((one) => one.open);
  });
  document.addEventListener("htmx:after:swap", () => {
    const now = [...document.querySelectorAll("#live details")];
    if (now.length === open.length) now.forEach((one, index) => { one.open = open[index]; });
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
      event.target.form.requestSubmit();
      return;
    }
    const typing = event.target.closest && event.target.closest("input, textarea, select");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const field = document.getElementById("to");
    if (field) { event.preventDefault(); field.focus(); }
  });
})();
