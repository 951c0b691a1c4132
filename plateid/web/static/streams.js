// Pictures of cameras: streams for the first few, as browsers open six connections to a box; the
// others are stills that are asked for again. A page that nobody looks at asks for nothing.
const STREAMS = 3;
const STILL_MS = 2000;
const SILENT_MS = 20000; // a box says something every four seconds
const RETRY_MS = 3000;
const images = () => [...document.querySelectorAll("img.stream")];

function start(image, index) {
  const name = encodeURIComponent(image.dataset.camera);
  if (index < STREAMS) {
    image.src = `/stream/${name}.mjpeg?${Date.now()}`;
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

const follow = () => images().forEach(document.hidden ? stop : start);

// Server-sent events, again and again: a box starts anew, a session ends, a phone sleeps. Pictures
// begin anew with them, since a browser does not say that a stream of pictures has ended.
export function listen(url, handlers, loggedOut, silence = () => {}) {
  let source, heard, said = Date.now(), again = false;
  const open = () => {
    source?.close();
    heard = Date.now();
    source = new EventSource(url);
    source.onopen = () => {
      if (again) follow();
      again = true;
    };
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (message) => {
        heard = said = Date.now();
        silence(null);
        handle(JSON.parse(message.data));
      });
    }
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(retry, RETRY_MS);
    };
  };
  const retry = async () => {
    const answer = await fetch(location.href).catch(() => null);
    if (answer?.redirected) loggedOut();
    else open();
  };
  setInterval(() => {
    if (Date.now() - said > SILENT_MS) silence(new Date(said));
    if (Date.now() - heard > SILENT_MS) open();
  }, SILENT_MS / 4);
  addEventListener("pagehide", () => source.close());
  open();
}

export function watch() {
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => images().forEach(stop));
  // A stream that starts earlier keeps the page from being loaded until its first picture.
  if (document.readyState === "complete") follow();
  else addEventListener("load", follow, { once: true });
}
