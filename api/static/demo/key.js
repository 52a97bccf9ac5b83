// The caller's API key or token, for as long as the tab is open.

const NAME = 'darkroom-key';

/** Tells `needed` when the API does not know who is asking. */
export const keys = new EventTarget();

export function needKey() {
  keys.dispatchEvent(new Event('needed'));
}

export function hasKey() {
  return sessionStorage.getItem(NAME) !== null;
}

/** Keep what was typed or pasted, be it the key alone or the whole value of the header. */
export function keepKey(typed) {
  sessionStorage.setItem(NAME, typed.trim().replace(/^bearer\s+/i, ''));
}

export function forgetKey() {
  sessionStorage.removeItem(NAME);
}

/** What opens a websocket: the payload of `connection_init`. */
export function connectionPayload() {
  return hasKey() ? { authorization: `Bearer ${sessionStorage.getItem(NAME)}` } : {};
}

/** The same for a request over HTTP, whose headers are bytes: those of UTF-8. */
export function requestHeaders() {
  const { authorization } = connectionPayload();
  return authorization ? { Authorization: String.fromCharCode(...new TextEncoder().encode(authorization)) } : {};
}
