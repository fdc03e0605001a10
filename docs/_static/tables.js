// SPDX-License-Identifier: Apache-2.0
// On a phone a wide table would hide most of its columns: tables.css then shows each row as a block,
// with every cell labelled by its column's heading.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("article table.docutils")) {
    const headings = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    const width = table.parentElement.clientWidth;
    if (headings.length < 3 || table.scrollWidth <= width) continue;
    table.classList.add("stacked");
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, column) => {
        if (headings[column]) cell.dataset.label = headings[column];
        if (!cell.textContent.trim()) cell.replaceChildren();
      });
    }
  }
});
