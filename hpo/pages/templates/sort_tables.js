
// Sorts a table when a heading is clicked, and in the other direction when it is clicked again.
document.querySelectorAll("table.sortable th button").forEach((button) => button.addEventListener("click", () => {
  const header = button.closest("th"), body = header.closest("table").tBodies[0];
  const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  header.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
  const key = (row) => row.cells[header.cellIndex].dataset.sort;
  // Numbers come before text, or a column that holds both would have no order.
  const compare = (a, b) => isNaN(a) && isNaN(b) ? a.localeCompare(b) : isNaN(a) - isNaN(b) || Number(a) - Number(b);
  // Missing values come last in both directions.
  const order = (a, b) => a === "" || b === "" ? (a === "") - (b === "") : sign * compare(a, b);
  [...body.rows].sort((a, b) => order(key(a), key(b))).forEach((row) => body.append(row));
}));
