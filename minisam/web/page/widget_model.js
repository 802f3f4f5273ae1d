// The network of a notebook's kernel: every call is a message to minisam/show/click_widget.py, which appends this file
// to click.js without its import: a widget is one module.
import { mountClick } from "./click.js";

function render({ model, el }) {
  const waiting = new Map();
  let count = 0;
  const receive = ({ id, error, ...answer }) => {
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    error ? reject?.(new Error(error)) : resolve?.(answer);
  };
  const request = (content) =>
    new Promise((resolve, reject) => {
      waiting.set(++count, { resolve, reject });
      model.send({ ...content, id: count });
    });

  model.on("msg:custom", receive);
  const page = mountClick(el, {
    photos: [model.get("photo")],
    prompt: model.get("prompt"),
    encode: async () => {},
    decode: (photo, { points, boxes }, { best }) => request({ points, boxes, best }),
    changed({ prompt, index }) {
      model.set("prompt", { ...prompt, index });
      model.save_changes();
    },
  });
  return () => {
    model.off("msg:custom", receive);
    page.destroy();
  };
}

export default { render };
