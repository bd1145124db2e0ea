// What happens while one looks: server-sent events, or a look every few seconds where the stream
// is not to be had.

const LOOK_MS = 5_000;
const AGAIN_MS = 15_000;

function pulse(kind, text, why) {
  const shown = document.getElementById("pulse");
  shown.className = `pulse ${kind}`;
  shown.title = why;
  if (shown.textContent !== text) shown.textContent = text;
}

// `act` every few seconds, for what no stream tells of.
export function look(page, milliseconds, act) {
  pulse("slow", `every ${milliseconds / 1_000} s`, "The page looks by itself.");
  page.every(milliseconds, act);
  page.signal.addEventListener("abort", () => pulse("", "", ""));
}

// Calls `changed(saga)` for every event of `path`, and `missed()` whenever some may have been
// missed, until `signal` is aborted or `changed` answers true: that was the last one.
export function follow(path, signal, changed, missed) {
  let source = null;
  let looking = null;
  let again = null;

  const poll = () => {
    if (looking || signal.aborted) return;
    pulse("slow", "every 5 s", "No event stream: the page looks every five seconds.");
    looking = setInterval(missed, LOOK_MS);
  };
  const open = () => {
    source = new EventSource(path);
    let opened = false;
    source.onopen = () => {
      clearInterval(looking);
      looking = null;
      pulse("live", "live", "The page follows the orchestrator's event stream.");
      // What happened between reading the page and this moment.
      missed();
      opened = true;
    };
    source.addEventListener("saga", (event) => {
      let saga;
      try {
        saga = JSON.parse(event.data);
      } catch {
        return missed();
      }
      if (changed(saga) === true) over();
      return undefined;
    });
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {
        again = setTimeout(open, AGAIN_MS);
      }
      if (!opened || source.readyState === EventSource.CLOSED) poll();
      else pulse("slow", "reconnecting", "The event stream broke off; the browser opens it again.");
    };
  };
  const over = () => {
    source.close();
    clearInterval(looking);
    clearTimeout(again);
    pulse("", "", "");
  };
  open();
  signal.addEventListener("abort", over);
}

// `act`, at most once in `gap` milliseconds and never twice at a time, however often it is asked
// for; the last request is always honoured.
export function calmly(act, gap = 400) {
  let running = false;
  let wanted = false;
  return async function run() {
    if (running) {
      wanted = true;
      return;
    }
    running = true;
    do {
      wanted = false;
      await act();
      await new Promise((resolve) => setTimeout(resolve, gap));
    } while (wanted);
    running = false;
  };
}
