"use strict";
for (const tools of document.querySelectorAll(".tools")) {
  const table = document.getElementById(tools.dataset.table);
  const body = table.tBodies[0];
  const rows = Array.from(body.rows).filter((row) => row.dataset.kinds !== undefined);
  // The text of an example stands in a row of its own below its figures.
  const both = new Map(rows.map((row) => [row, row.nextElementSibling?.matches(".texts") ? [row, row.nextElementSibling] : [row]]));
  const search = tools.querySelector("input");
  const select = tools.querySelector("select");
  const status = tools.querySelector("output");

  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const matches = row.cells[0].dataset.v.startsWith(wanted) || row.cells[1].dataset.v.startsWith(wanted);
      const kind = !select.value || row.dataset.kinds.split(" ").includes(select.value);
      for (const part of both.get(row)) part.hidden = !(matches && kind);
      shown += row.hidden ? 0 : 1;
    }
    status.textContent = `${shown} of ${rows.length} shown`;
  };

  const sort = (column, header) => {
    const descending = header.getAttribute("aria-sort") !== "descending";
    for (const sibling of header.parentNode.cells) sibling.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.v;
    const compare = (first, second) => {
      const [a, b] = [key(first), key(second)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = "text" in header.dataset ? (a < b ? -1 : a > b ? 1 : 0) : Number(a) - Number(b);
      return descending ? -order : order;
    };
    body.append(...rows.slice().sort(compare).flatMap((row) => both.get(row)));
  };

  Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
    if (rows.length && rows[0].cells[column].dataset.v === undefined) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(column, header));
    header.append(button);
  });
  search.addEventListener("input", filter);
  select.addEventListener("change", filter);
  tools.hidden = false;
  filter();
}
