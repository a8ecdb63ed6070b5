// Keys of the keyboard, the theme, passkeys, forms that are sent once.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme === "dark" || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);

  function otherTheme() {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    document.dispatchEvent(new Event("themechange"));
  }
  document.getElementById("theme").addEventListener("click", otherTheme);

  let going = false;
  let row = -1;
  const shortcuts = document.getElementById("shortcuts");
  function toRow(step) {
    const rows = [...document.querySelectorAll("main table tbody tr")].filter((one) => one.querySelector("a"));
    if (!rows.length) return;
    row = Math.max(0, Math.min(rows.length - 1, row + step));
    rows[row].querySelector("a").focus();
    rows[row].scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    if (going) {
      going = false;
      const link = document.querySelector(`nav a[data-go="${CSS.escape(event.key)}"]`);
      if (link) link.click();
      return;
    }
    if (event.key === "g") going = true;
    else if (event.key === "?") shortcuts.showModal();
    else if (event.key === "t") otherTheme();
    else if (event.key === "j") toRow(1);
    else if (event.key === "k") toRow(-1);
    else if (event.key === "/") {
      const field = document.querySelector("main input[type=search]");
      if (field) { event.preventDefault(); field.focus(); }
    }
  });

  // A second click must not do it twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.dataset.sent) return form.dataset.sent && event.preventDefault();
    if (form.dataset.passkey && !form.elements.credential.value) {
      event.preventDefault();
      askPasskey(form).catch((error) => tell(form, error.message));
      return;
    }
    form.dataset.sent = "1";
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

  async function askPasskey(form) {
    let options;
    if (form.dataset.passkey === "get") {
      options = JSON.parse(form.querySelector("script").textContent);
    } else {
      const answer = await fetch(form.dataset.options, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (!answer.ok) throw new Error(new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".lead")?.textContent ?? answer.status);
      options = await answer.json();
    }
    const credential = form.dataset.passkey === "get"
      ? await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })
      : await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
    form.elements.credential.value = JSON.stringify(credential.toJSON());
    form.submit();
  }

  function tell(form, text) {
    const said = document.createElement("p");
    said.className = "banner bad";
    said.setAttribute("role", "alert");
    said.textContent = text;
    form.prepend(said);
  }
})();
