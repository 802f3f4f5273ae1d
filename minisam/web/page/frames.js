// Figures that were drawn beforehand, and a slider that selects one; the figures lie in the page (minisam/show/frames.py).
document.querySelectorAll("figure.minisam-frames:not([data-ready])").forEach((figure) => {
  figure.dataset.ready = "true";
  const frames = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const image = figure.querySelector("img");
  const last = frames.images.length - 1;
  const controls = document.createElement("div");
  controls.style.cssText = "display: flex; flex-wrap: wrap; gap: 0.4em 0.8em; align-items: center; margin-top: 0.4em";
  const label = document.createElement("label");
  label.style.cssText = "display: flex; gap: 0.8em; align-items: center; flex: 1 1 16em; max-width: 34em";
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: last, step: 1, value: frames.first });
  slider.style.flex = "1";
  label.append(`${frames.name} `, slider);
  const shown = document.createElement("output");
  controls.append(label, shown);

  const show = () => {
    const text = frames.labels[slider.value];
    image.src = frames.images[slider.value];
    image.alt = `${frames.describe}; ${frames.name}: ${text}`;
    slider.setAttribute("aria-valuetext", text);
    shown.textContent = text;
  };
  slider.addEventListener("input", show);

  if (frames.play) {
    const button = document.createElement("button");
    button.type = "button";
    button.style.cssText = "font: inherit; color: inherit; background: none; border: 1px solid; border-radius: 4px; "
      + "padding: 0.1em 0.8em; cursor: pointer";
    let timer = 0;
    const pause = () => {
      clearInterval(timer);
      timer = 0;
      button.textContent = "Play";
    };
    const next = () => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === last || !figure.isConnected) pause();
    };
    button.addEventListener("click", () => {
      if (timer) return pause();
      if (Number(slider.value) === last) slider.value = 0;
      show();
      timer = setInterval(next, 900);
      button.textContent = "Pause";
    });
    slider.addEventListener("input", pause);
    pause();
    controls.prepend(button);
  }
  figure.append(controls);
  show();
});
