// A slider beside each number that has bounds; the number alone is sent.
"use strict";
(() => {
  for (const field of document.querySelectorAll("input[data-low]")) {
    const log = "log" in field.dataset;
    const to = (value) => (log ? Math.log10(Math.max(value, Number(field.dataset.low) || 1e-3)) : Number(value));
    const slider = document.createElement("input");
    slider.type = "range";
    slider.min = to(field.dataset.low);
    slider.max = to(field.dataset.high);
    slider.step = field.dataset.step;
    slider.value = field.value === "" ? slider.max : to(field.value);
    slider.setAttribute("aria-label", field.closest("label").querySelector("span").textContent);
    slider.addEventListener("input", () => {
      const value = log ? 10 ** slider.value : Number(slider.value);
      field.value = value >= 10 && log ? Math.round(Number(value.toPrecision(3))) : Number(value.toPrecision(3));
    });
    field.addEventListener("input", () => { if (field.value !== "") slider.value = to(field.value); });
    field.closest("label").after(slider);
  }
})();
