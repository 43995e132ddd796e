@@ if request-filter
// Admits clients with a known key, and limits how often each key is used.

import { header, removeHeader, setHeader } from 'pace:plugin/request@0.1.0';
import { Window } from 'pace:plugin/windows@0.1.0';
@@ else
// Describe here what this plugin does.

@@ end
@@ if request-body-filter
import { jsonKeys } from 'pace:plugin/content@0.1.0';
import { header as requestHeader } from 'pace:plugin/request@0.1.0';
@@ end
@@ if response-body-filter-or-response-stream-filter-or-request-stream-filter
import { find, splice } from 'pace:plugin/content@0.1.0';
@@ end
@@ if request-stream-filter
import { size } from 'pace:plugin/content@0.1.0';
@@ end
@@ if attempt-filter
import { failure, setHeader as setAttemptHeader } from 'pace:plugin/attempt@0.1.0';
import { status } from 'pace:plugin/response@0.1.0';
@@ end
@@ if select-upstream
import { count, health, inFlight, tried, weight } from 'pace:plugin/upstreams@0.1.0';
@@ end
@@ if finished-or-request-stream-filter
import { write } from 'pace:plugin/log@0.1.0';
@@ end
@@ if finished
import { ended } from 'pace:plugin/outcome@0.1.0';
import { method, path } from 'pace:plugin/request@0.1.0';
@@ end
@@ if response-filter
import { setHeader as setResponseHeader } from 'pace:plugin/response@0.1.0';
@@ end
@@ if response-stream-filter
import { header as responseHeader } from 'pace:plugin/response@0.1.0';
@@ end

@@ if request-filter
let clients;
let window;

/** @type {typeof import('pace:plugin/lifecycle@0.1.0')} */
export const lifecycle = {
  // The operator reads what is thrown: name the key, and say what is allowed.
  configure(text) {
    const { keys, requests = 100, seconds = 60, ...unknown } = JSON.parse(text);
    for (const key in unknown) throw `${key}: unknown key, expected keys, requests or seconds`;
    clients = Object.entries(keys ?? {}).map(([name, key]) => {
      if (typeof key !== 'string') throw `keys.${name}: expected a text`;
      if (key === '') throw `keys.${name}: the key must not be empty`;
      return [name, bytes(key)];
    });
    if (clients.length === 0) throw 'keys: a name and a key are needed';
    for (const [name, value] of Object.entries({ requests, seconds })) {
      if (!Number.isInteger(value) || value < 1 || value > 4294967295) throw `${name}: expected a positive integer`;
    }
    window = Window.open('requests', requests, BigInt(seconds) * 1000n);
  },
};

/** @type {typeof import('pace:plugin/request-filter@0.1.0')} */
export const requestFilter = {
  filter() {
    const key = header('x-api-key');
    const client = key && owner(key);
    if (client === undefined) return respond(401, 'This needs an API key.\n', { 'www-authenticate': 'ApiKey' });
    try {
      window.hit({ tag: 'bytes', val: bytes(client) });
    } catch (full) {
      const seconds = (full.payload.val + 999n) / 1000n;
      return respond(429, 'Too many requests.\n', { 'retry-after': String(seconds) });
    }
    setHeader('x-api-client', bytes(client));
    removeHeader('x-api-key');
    return { tag: 'next' };
  },
};

// The owner of a key. Every byte of every key is compared, so that the duration does not reveal where it differs.
function owner(key) {
  let found;
  for (const [name, known] of clients) {
    let bits = key.length ^ known.length;
    for (let at = 0; at < key.length; at++) bits |= key[at] ^ known[at % known.length];
    if (bits === 0) found = name;
  }
  return found;
}

/** @returns {import('pace:plugin/http@0.1.0').Verdict} */
function respond(status, body, headers) {
  const fields = Object.entries(headers).map(([name, value]) => ({ name, value: bytes(value) }));
  return { tag: 'respond', val: { status, headers: fields, body: bytes(body) } };
}
@@ else
/** @type {typeof import('pace:plugin/lifecycle@0.1.0')} */
export const lifecycle = {
  // The operator reads what is thrown: name the key, and say what is allowed.
  configure(text) {
    for (const key in JSON.parse(text)) throw `${key}: unknown key, there are none`;
  },
};
@@ end
@@ if select-upstream

/**
 * Sends each attempt to the backend with the fewest requests in flight for its weight: to a healthy one if there is one, and no
 * two to the same. Of equal ones each is drawn as often as its weight says.
 * @type {typeof import('pace:plugin/select-upstream@0.1.0')}
 */
export const selectUpstream = {
  select(attempt) {
    let best;
    let drawnFrom = 0;
    for (let index = 0; index < count(); index++) {
      const share = weight(index);
      const state = health(index);
      if (share === 0 || state === 'draining' || (attempt > 1 && tried(index))) continue;
      const rank = (state === 'healthy' ? 0 : 1e12) + inFlight(index) / share;
      if (best !== undefined && rank > best.rank) continue;
      drawnFrom = rank === best?.rank ? drawnFrom + share : share;
      if (Math.random() * drawnFrom < share) best = { index, rank };
    }
    return best === undefined ? { tag: 'pass' } : { tag: 'pick', val: best.index };
  },
};
@@ end
@@ if attempt-filter

/**
 * Sends a request again whose backend is too busy, and tells the next one that it is not the first.
 * @type {typeof import('pace:plugin/attempt-filter@0.1.0')}
 */
export const attemptFilter = {
  prepare(number) {
    if (number > 1) setAttemptHeader('x-attempt', bytes(String(number)));
    return { tag: 'next' };
  },
  judge() {
    const isBusy = failure() === undefined && [429, 503].includes(status());
    return { tag: isBusy ? 'retry' : 'accept' };
  },
};
@@ end
@@ if request-stream-filter

// Hides what follows `password=` in the lines of an upload, and logs how many lines had it.
class Upload {
  lines = 0;

  /** @returns {import('pace:plugin/streams@0.1.0').Step} */
  next() {
    const at = find(bytes('password='), 0);
    if (at !== undefined) {
      this.lines += 1;
      splice(at, size() - at, bytes('password=***'));
    }
    return 'pass';
  }

  end(how) {
    write('info', `${this.lines} passwords: ${how}`);
  }
}

/** @type {typeof import('pace:plugin/request-stream-filter@0.1.0')} */
export const requestStreamFilter = {
  RequestMessage: Upload,
  open() {
    return { message: new Upload(), framing: 'line', access: 'edit', interest: [bytes('password=')] };
  },
};
@@ end
@@ if response-stream-filter

// Marks pages at their end, while they pass.
class Page {
  /** @returns {import('pace:plugin/streams@0.1.0').Step} */
  next() {
    const end = find(bytes('</body>'), 0);
    if (end !== undefined) splice(end, 0, bytes('<!-- @NAME@ -->'));
    return 'finish';
  }

  end() {}
}

/** @type {typeof import('pace:plugin/response-stream-filter@0.1.0')} */
export const responseStreamFilter = {
  ResponseMessage: Page,
  open() {
    const kind = new TextDecoder().decode(responseHeader('content-type') ?? new Uint8Array());
    if (!kind.startsWith('text/html')) return undefined;
    return { message: new Page(), framing: 'chunk', access: 'edit', interest: [bytes('</body>')] };
  },
};
@@ end
@@ if request-body-filter

/**
 * Refuses bodies that say that they are JSON, and are not.
 * @type {typeof import('pace:plugin/request-body-filter@0.1.0')}
 */
export const requestBodyFilter = {
  filter() {
    const kind = new TextDecoder().decode(requestHeader('content-type') ?? new Uint8Array());
    if (!kind.startsWith('application/json')) return { tag: 'next' };
    try {
      jsonKeys('');
      return { tag: 'next' };
    } catch {
      return { tag: 'respond', val: { status: 400, headers: [], body: new TextEncoder().encode('This is not JSON.\n') } };
    }
  },
};
@@ end
@@ if response-filter

/** @type {typeof import('pace:plugin/response-filter@0.1.0')} */
export const responseFilter = {
  filter() {
    setResponseHeader('x-plugin', bytes('@NAME@'));
    return { tag: 'next' };
  },
};
@@ end
@@ if response-body-filter

/**
 * Marks pages at their end.
 * @type {typeof import('pace:plugin/response-body-filter@0.1.0')}
 */
export const responseBodyFilter = {
  filter() {
    const end = find(new TextEncoder().encode('</body>'), 0);
    if (end !== undefined) splice(end, 0, new TextEncoder().encode('<!-- @NAME@ -->'));
    return { tag: 'next' };
  },
};
@@ end
@@ if finished

/** @type {typeof import('pace:plugin/finished@0.1.0')} */
export const finished = {
  observe() {
    write('info', `${method()} ${path()}: ${ended()}`);
  },
};
@@ end
@@ if request-filter-or-response-filter-or-attempt-filter-or-request-stream-filter-or-response-stream-filter

function bytes(text) {
  return new TextEncoder().encode(text);
}
@@ end
