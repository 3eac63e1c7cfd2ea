// How the page asks its daemon: with the token, within a time, and by one stream of events that is opened again
// whenever it ends.

const KEPT = "conbusd-token";
const ASK_WITHIN = 4000;
const WRITE_WITHIN = 8000;
// The daemon says something every 15 s.
const SILENCE_MAX = 20000;
const PAUSE_MIN = 400;
const PAUSE_MAX = 4000;

let token = sessionStorage.getItem(KEPT) ?? "";
let wanted = null;

/** What the daemon answered instead of doing it. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Who is to be told that a token is missing or wrong. */
export function onTokenWanted(tell) {
  wanted = tell;
}

/** From now on this token is sent. */
export function useToken(text) {
  token = text.trim();
  sessionStorage.setItem(KEPT, token);
}

function headers(more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

async function refusal(answer) {
  let told = {};
  try {
    told = (await answer.json()).error ?? {};
  } catch {
    // Not the daemon, perhaps a proxy before it: the status has to do.
  }
  return new Refused(answer.status, told.code ?? "", told.message ?? `the answer was ${answer.status}`);
}

async function ask(method, path, body, within) {
  const signal = AbortSignal.timeout(within);
  const sends = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(path, { method, headers: headers(type), cache: "no-store", signal, ...sends });
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

export const get = (path) => ask("GET", path, undefined, ASK_WITHIN);
export const put = (path, body) => ask("PUT", path, body, WRITE_WITHIN);
export const post = (path, body) => ask("POST", path, body, WRITE_WITHIN);

/** Splits a stream of server-sent events; calls `tell(name, value)` for each. */
function splitter(tell) {
  let rest = "";
  return (text) => {
    const pieces = (rest + text).split("\n\n");
    rest = pieces.pop();
    for (const piece of pieces) {
      let name = "message";
      let data = "";
      for (const line of piece.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) data += line.slice(6);
      }
      if (data) tell(name, JSON.parse(data));
    }
  };
}

/** Follows the events until the page is left. `state` hears "open", "lost", "resting" and "token". */
export class Stream {
  constructor(path, tell, state) {
    this.path = path;
    this.tell = tell;
    this.state = state;
    this.pause = PAUSE_MIN;
    this.ended = null;
    this.wake = null;
    this.stopped = false;
    this.run();
  }

  /** Ends what is open, if anything is, and tries again at once. */
  again() {
    this.stopped = false;
    this.pause = PAUSE_MIN;
    this.ended?.abort();
    this.wake?.();
  }

  /** Rests until `again`. */
  rest() {
    this.stopped = true;
    this.ended?.abort();
  }

  async run() {
    for (;;) {
      try {
        await this.once();
        this.state("lost");
      } catch (fault) {
        if (fault instanceof Refused && fault.status === 401) {
          this.state("token", fault);
          this.stopped = true;
          wanted?.(fault);
        } else {
          this.state(this.stopped ? "resting" : "lost");
        }
      }
      await this.until();
    }
  }

  /** Waits before the next try: longer each time, and not at once with every other page. */
  until() {
    const pause = this.pause * (0.75 + Math.random() / 2);
    this.pause = Math.min(this.pause * 1.7, PAUSE_MAX);
    return new Promise((done) => {
      this.wake = done;
      if (!this.stopped) setTimeout(done, pause);
    });
  }

  async once() {
    this.ended = new AbortController();
    const { signal } = this.ended;
    let watch = setTimeout(() => this.ended.abort(), ASK_WITHIN);
    try {
      const answer = await fetch(this.path, { headers: headers(), cache: "no-store", signal });
      if (!answer.ok) throw await refusal(answer);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const take = splitter((name, value) => {
        if (name === "accessories") {
          this.pause = PAUSE_MIN;
          this.state("open");
        }
        this.tell(name, value);
      });
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(watch);
        watch = setTimeout(() => this.ended.abort(), SILENCE_MAX);
        take(value);
      }
    } finally {
      clearTimeout(watch);
    }
  }
}
