for (const grids of document.querySelectorAll(".grids")) {
  const slider = grids.querySelector("input"); // none for a single step
  const output = grids.querySelector("output");
  const choice = grids.querySelector("select");
  if (!slider && !choice) continue;
  const steps = slider?.dataset.steps.split(" ").map(Number);
  const show = () => {
    if (slider) {
      const step = steps[slider.value].toLocaleString("en-GB");
      output.textContent = `${step} of ${steps.at(-1).toLocaleString("en-GB")}`;
      slider.setAttribute("aria-valuetext", `step ${step}`);
    }
    for (const grid of grids.querySelectorAll(".grid")) {
      grid.hidden =
        grid.dataset.place !== (slider?.value ?? "0") ||
        grid.dataset.choice !== (choice?.value ?? "0");
    }
  };
  slider?.addEventListener("input", show);
  choice?.addEventListener("change", show);
  grids.querySelector(".controls").hidden = false;
  show();
}
