// The orchestrator's JSON API: requests with a time limit, problems as errors, and whether it
// answers at all.

const LIMIT_MS = 10_000;

// What the orchestrator said instead of an answer.
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? `HTTP ${status}`);
    this.status = status;
    this.fields = document.errors ?? [];
  }
}

// The orchestrator, or what it stands on, does not answer.
export class Away extends Error {}

function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}

async function ask(method, path, body, signal) {
  const limit = AbortSignal.timeout(LIMIT_MS);
  const options = { method, signal: signal ? AbortSignal.any([signal, limit]) : limit };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "content-type": "application/json" };
  }
  let answer;
  let text;
  try {
    answer = await fetch(path, options);
    text = await answer.text();
  } catch (cause) {
    if (signal?.aborted) throw cause;
    const away = new Away("The orchestrator does not answer.", { cause });
    tell("console:away", away.message);
    throw away;
  }
  let document = {};
  try {
    document = JSON.parse(text);
  } catch {
    document = { detail: text.slice(0, 200) };
  }
  if (answer.status === 502 || answer.status === 503 || answer.status === 504) {
    const away = new Away(document.detail ?? "The orchestrator cannot answer now.");
    tell("console:away", `The orchestrator cannot answer now: ${away.message}.`);
    throw away;
  }
  tell("console:back");
  if (!answer.ok) throw new Problem(answer.status, document);
  return document;
}

function at(path, query) {
  const wanted = Object.entries(query ?? {}).filter(([, value]) => value !== "" && value != null);
  const text = new URLSearchParams(wanted).toString();
  return `/api/v1/${path}${text ? `?${text}` : ""}`;
}

export function get(path, query, signal) {
  return ask("GET", at(path, query), undefined, signal);
}

// An answer, or null where the orchestrator has none to give.
export async function maybe(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Problem && [404, 409].includes(error.status)) return null;
    throw error;
  }
}

export function post(path, body) {
  return ask("POST", at(path), body);
}
