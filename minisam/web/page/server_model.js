// The network of `minisam click`: every call is a request to the server that served this page (minisam/web/routes.py).

import { mountClick } from "./click.js";

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("minisam click has ended; start it again in the terminal");
  }
  if (response.status === 204) return null;
  const content = await response.json();
  if (!response.ok) throw new Error(content.error);
  return content;
}

const post = (path, content, signal) =>
  request(path, { method: "POST", body: content instanceof Blob ? content : JSON.stringify(content), signal });

const model = {
  photos: await request("photos"),
  encode: (photo) => post(`${photo.url}/encode`, {}),
  decode: (photo, prompt, { best, signal }) => post(`${photo.url}/decode`, { ...prompt, best }, signal),
  add: (file) => post(`photos?name=${encodeURIComponent(file.name)}`, file),
  async save(photo, prompt, index, kind) {
    const { saved, folder } = await post(`${photo.url}/save`, { ...prompt, index, kind });
    return `${saved} in ${folder}`;
  },
};

const tab = crypto.randomUUID();
const report = () => fetch(`tabs/${tab}`, { method: "POST", body: "" }).catch(() => {});
report();
setInterval(report, 30_000);
addEventListener("pageshow", (event) => event.persisted && report());
addEventListener("pagehide", () => navigator.sendBeacon(`tabs/${tab}/close`));

mountClick(document.body, model).focus();
