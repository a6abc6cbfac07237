"use strict";
const tests = [...document.querySelectorAll("details.test")];
const text = document.getElementById("text");
const boxes = [...document.querySelectorAll("form input[type=checkbox]")];
const output = document.querySelector("form output");
const contents = tests.map((test) => test.textContent.toLowerCase());

function filter() {
  const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
  const results = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  let shown = 0;
  tests.forEach((test, index) => {
    const keep = results.has(test.dataset.result) && words.every((word) => contents[index].includes(word));
    test.hidden = !keep;
    shown += keep ? 1 : 0;
  });
  output.textContent = `${shown} of ${tests.length} shown`;
}

function move(step) {
  const shown = tests.filter((test) => !test.hidden).map((test) => test.querySelector("summary"));
  const at = shown.indexOf(document.activeElement);
  const next = shown[at < 0 ? (step > 0 ? 0 : shown.length - 1) : at + step];
  if (next) next.focus();
}

document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
text.addEventListener("input", filter);
boxes.forEach((box) => box.addEventListener("change", filter));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === text) {
    if (event.key === "Escape") {
      // By itself it would empty the field and filter nothing.
      event.preventDefault();
      text.blur();
    }
  } else if (event.key === "/") {
    event.preventDefault();
    text.focus();
  } else if (event.key === "j") {
    move(1);
  } else if (event.key === "k") {
    move(-1);
  }
});
filter();
