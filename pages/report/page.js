for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const compare = (a, b, numbers) => {
    if (a === "" || b === "") return (a === "") - (b === "");  // without a value: last, either way
    return numbers ? a - b : a.localeCompare(b);
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const numbers = !head.classList.contains("text");
    head.querySelector("button").addEventListener("click", () => {
      const first = numbers ? "descending" : "ascending";
      const other = numbers ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      for (const cell of head.parentNode.cells) cell.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const sorted = [...body.rows].sort((a, b) => {
        const x = value(a, column), y = value(b, column);
        return (x === "" || y === "" ? 1 : sign) * compare(x, y, numbers);
      });
      body.append(...sorted);
      table.classList.add("sorted");  // the backbones stand together no more
    });
  });
}
