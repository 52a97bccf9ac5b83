// The bytes of one file, straight to the store.
import { backoff, pause } from './waiting.js';

const TRIES = 4;
const ALREADY_THERE = 412; // an earlier try had got through: a target is good for one upload

/** The store did not take the file; the message is for people. */
export class PutError extends Error {}

/**
 * Do what an upload target says, and again where that can help; resolves early if nobody wants it any more.
 *
 * @param {{method: string, url: string, headers: {name: string, value: string}[]}} target
 * @param {AbortSignal} signal
 * @param {(bytes: number) => void} progress hears how many bytes are gone
 * @throws {PutError}
 */
export async function put(target, file, signal, progress) {
  for (let failures = 1; ; failures += navigator.onLine ? 1 : 0) {
    const { status, text } = await send(target, file, signal, progress);
    if (signal.aborted) return;
    if ((status >= 200 && status < 300) || status === ALREADY_THERE) return;
    if (status > 0 && status < 500) throw new PutError(refusal(status, text));
    if (status === 0) await readable(file);
    if (failures >= TRIES && navigator.onLine) {
      throw new PutError(status === 0 ? unreachable(target.url) : refusal(status, text));
    }
    await pause(backoff(failures));
  }
}

function send({ method, url, headers }, file, signal, progress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // `fetch` does not tell how much is gone
    request.open(method, url);
    for (const { name, value } of headers) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) => progress(loaded);
    request.onloadend = () => resolve({ status: request.status, text: request.responseText });
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

/** A file that was changed or moved since it was chosen fails like a network. @throws {PutError} */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new PutError('The file cannot be read any more. Choose it again.');
  }
}

function refusal(status, text) {
  const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1];
  return `The store refused the file (${code ?? `status ${status}`}).`;
}

function unreachable(url) {
  return `The store at ${new URL(url).host} cannot be reached, or its CORS rules do not name ${location.origin}.`;
}
