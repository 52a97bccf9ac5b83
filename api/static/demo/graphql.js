// GraphQL over HTTP.
import { needKey, requestHeaders } from './key.js';
import { backoff, pause } from './waiting.js';

const ADDRESS = new URL('../../graphql', import.meta.url);
const PATIENCE = 120; // seconds to wait for a server that says how long
const AWAY = [502, 503, 504]; // what a proxy says while the API restarts

/** The address for websockets. */
export const SOCKET_ADDRESS = new URL(ADDRESS);
SOCKET_ADDRESS.protocol = ADDRESS.protocol.replace('http', 'ws');

/** The API refused, or cannot be reached; the message is for people. */
export class ApiError extends Error {
  /** @param {string} code as the API's errors have it, or `UNREACHABLE` */
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/**
 * The data that answer an operation. Each of ours can be sent again without harm.
 *
 * @param {number} tries how often to try while the API cannot be reached
 * @throws {ApiError}
 */
export async function execute(query, variables = {}, tries = 4) {
  for (let failures = 1; ; failures += 1) {
    const answer = await post({ query, variables });
    if (answer === null) {
      if (failures >= tries) throw new ApiError('The server cannot be reached.', 'UNREACHABLE');
      await pause(backoff(failures));
      continue;
    }
    const seconds = Number(answer.headers.get('retry-after') ?? PATIENCE + 1);
    if (answer.status === 429 && seconds <= PATIENCE) {
      await pause(1000 * seconds);
      continue;
    }
    return dataOf(await answer.json().catch(() => null), answer.status);
  }
}

/** Of the results of a mutation, the image. @throws {ApiError} for a problem */
export function imageOf(result) {
  if (result.code) throw new ApiError(result.message, result.code);
  return result;
}

async function post(body) {
  try {
    const answer = await fetch(ADDRESS, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...requestHeaders() },
      body: JSON.stringify(body),
    });
    return AWAY.includes(answer.status) ? null : answer;
  } catch {
    return null; // nothing answers there
  }
}

function dataOf(payload, status) {
  const error = payload?.errors?.[0];
  if (error?.extensions?.code === 'UNAUTHENTICATED') needKey();
  if (error) throw new ApiError(error.message, error.extensions?.code ?? 'UNKNOWN');
  if (!payload?.data) throw new ApiError(`The server gave no answer to GraphQL (status ${status}).`, 'UNKNOWN');
  return payload.data;
}
