for (const grids of document.querySelectorAll(".grids")) {
  const slider = grids.querySelector("input");
  const output = grids.querySelector("output");
  const choice = grids.querySelector("select");
  const steps = slider.dataset.steps.split(" ").map(Number);
  const show = () => {
    const step = steps[slider.value].toLocaleString("en-GB");
    output.textContent = `${step} of ${steps.at(-1).toLocaleString("en-GB")}`;
    slider.setAttribute("aria-valuetext", `step ${step}`);
    for (const grid of grids.querySelectorAll(".grid")) {
      grid.hidden =
        grid.dataset.place !== slider.value || grid.dataset.choice !== (choice?.value ?? "0");
    }
  };
  slider.addEventListener("input", show);
  choice?.addEventListener("change", show);
  grids.querySelector(".controls").hidden = false;
  show();
}
