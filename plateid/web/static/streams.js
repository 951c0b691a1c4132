// Pictures of cameras: streams for the first few, as browsers open six connections to a box; the
// others are stills that are asked for again. A page that nobody looks at asks for nothing.
const STREAMS = 3;
const STILL_MS = 2000;

function start(image, index) {
  const name = encodeURIComponent(image.dataset.camera);
  if (index < STREAMS) {
    image.src = `/stream/${name}.mjpeg`;
    image.onerror = () => setTimeout(() => start(image, index), STILL_MS);
  } else {
    image.onload = image.onerror = () => setTimeout(() => {
      if (!document.hidden) image.src = `/stream/${name}.jpg?${Date.now()}`;
    }, STILL_MS);
    image.src = `/stream/${name}.jpg?${Date.now()}`;
  }
}

function stop(image) {
  image.onload = image.onerror = null;
  image.src = "/static/none.svg";
}

export function watch() {
  const images = [...document.querySelectorAll("img.stream")];
  const follow = () => images.forEach(document.hidden ? stop : start);
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => images.forEach(stop));
  // A stream that starts earlier keeps the page from being loaded until its first picture.
  if (document.readyState === "complete") follow();
  else addEventListener("load", follow, { once: true });
}
