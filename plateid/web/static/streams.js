// Image and event streams. Browsers open at most six connections to a host: the first cameras use
// MJPEG streams, the others stills that are fetched again. A hidden page fetches nothing.
const MAX_STREAMS = 3;
const STILL_MS = 2000; // interval of stills and of retries
const SILENT_MS = 4000; // the server sends an event each second
const REOPEN_MS = 20000; // a slow connection may need longer than that
const RETRY_MS = 3000;
const images = () => [...document.querySelectorAll("img.stream")];

function start(image, index) {
  const name = encodeURIComponent(image.dataset.camera);
  if (index < MAX_STREAMS) {
    image.src = `stream/${name}.mjpeg?${Date.now()}`;
    image.onerror = () => setTimeout(() => start(image, index), STILL_MS);
  } else {
    image.onload = image.onerror = () => setTimeout(() => {
      if (!document.hidden) image.src = `stream/${name}.jpg?${Date.now()}`;
    }, STILL_MS);
    image.src = `stream/${name}.jpg?${Date.now()}`;
  }
}

function stop(image) {
  image.onload = image.onerror = null;
  image.src = "static/blank.svg";
}

const restartImages = () => images().forEach(document.hidden ? stop : start);

// Listens to server-sent events and reconnects after a restart, a logout or the sleep of a phone.
// A reconnection restarts the images too: browsers do not report the end of an MJPEG stream.
export function listen(url, handlers, onLogout, onSilence = () => {}) {
  let source, openedAt, lastEventAt = Date.now(), isReconnection = false;
  const open = () => {
    source?.close();
    openedAt = Date.now();
    source = new EventSource(url);
    source.onopen = () => {
      if (isReconnection) restartImages();
      isReconnection = true;
    };
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (message) => {
        openedAt = lastEventAt = Date.now();
        onSilence(null);
        handle(JSON.parse(message.data));
      });
    }
    source.onerror = () => {
      onSilence(new Date(lastEventAt));
      if (source.readyState === EventSource.CLOSED) setTimeout(retry, RETRY_MS);
    };
  };
  const retry = async () => {
    const response = await fetch(location.href).catch(() => null);
    if (response?.redirected) onLogout();
    else open();
  };
  setInterval(() => {
    if (Date.now() - lastEventAt > SILENT_MS) onSilence(new Date(lastEventAt));
    if (Date.now() - openedAt > REOPEN_MS) open();
  }, SILENT_MS / 4);
  addEventListener("pagehide", () => source.close());
  open();
}

export function startImages() {
  document.addEventListener("visibilitychange", restartImages);
  addEventListener("pagehide", () => images().forEach(stop));
  // A stream that starts before "load" delays that event until its first image.
  if (document.readyState === "complete") restartImages();
  else addEventListener("load", restartImages, { once: true });
}
