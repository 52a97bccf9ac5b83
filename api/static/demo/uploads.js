// The way of files into the store: targets in batches, a few PUTs at a time.
import { COMPLETE_UPLOAD, CREATE_UPLOADS, DELETE_IMAGES } from './documents.js';
import { ApiError, execute, imageOf } from './graphql.js';
import { put, PutError } from './put.js';
import { pause } from './waiting.js';

const AT_ONCE = 6; // PUTs; no browser opens more connections to one host
const BATCH = 24; // files of one request: targets do not grow old while they wait
const PATIENCE = 120; // seconds to wait for a server that says how long
const MAX_INT = 2 ** 31 - 1; // GraphQL's; the server says of such a file that it is too large

export class Uploads {
  #listening;
  #created;
  #waiting = []; // pictures without a target
  #ready = []; // pictures with one
  #active = 0;
  #isAsking = false;
  #batch = BATCH;

  /**
   * @param {() => Promise<void>} listening resolves when changes are followed: before, nothing is sent
   * @param {(picture) => void} created hears of each picture that the API knows now
   */
  constructor(listening, created) {
    this.#listening = listening;
    this.#created = created;
  }

  add(pictures) {
    this.#waiting.push(...pictures);
    this.#pump();
  }

  /** Once more from the start; what was begun is given up. */
  again(picture) {
    if (picture.image) giveUp(picture.image);
    picture.image = null;
    picture.moved('waiting', 0);
    this.add([picture]);
  }

  #pump() {
    this.#waiting = this.#waiting.filter(({ signal }) => !signal.aborted);
    this.#ready = this.#ready.filter(({ picture }) => !picture.signal.aborted);
    while (this.#active < AT_ONCE && this.#ready.length > 0) this.#send(this.#ready.shift());
    if (!this.#isAsking && this.#waiting.length > 0 && this.#ready.length < AT_ONCE) this.#ask();
  }

  async #ask() {
    this.#isAsking = true;
    const batch = this.#waiting.splice(0, this.#batch);
    try {
      await this.#listening();
      const input = { files: batch.map(({ file }) => describe(file)), idempotencyKey: randomKey() };
      const { createUploads } = await execute(CREATE_UPLOADS, { input }, Infinity);
      await this.#sort(batch, createUploads.results);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      for (const picture of batch) picture.stop(error.message, { canTryAgain: true });
    } finally {
      this.#isAsking = false;
    }
    this.#pump();
  }

  async #sort(batch, results) {
    const beyond = [];
    let seconds = 0;
    results.forEach((result, number) => {
      const picture = batch[number];
      if (result.code === 'TOO_MANY_FILES' && number > 0) {
        this.#batch = Math.min(this.#batch, number);
        beyond.push(picture);
      } else if (result.code === 'RATE_LIMITED' && result.retryAfter <= PATIENCE) {
        seconds = Math.max(seconds, result.retryAfter);
        beyond.push(picture);
      } else if (result.code) {
        picture.stop(result.message, { canTryAgain: result.retryAfter !== null });
      } else if (picture.signal.aborted) {
        giveUp(result.image);
      } else {
        picture.take(result.image);
        this.#created(picture);
        this.#ready.push({ picture, target: result });
      }
    });
    this.#waiting.unshift(...beyond);
    if (seconds > 0) {
      this.#pump();
      await pause(1000 * seconds);
    }
  }

  async #send({ picture, target }) {
    this.#active += 1;
    picture.moved('sending', 0);
    try {
      await put(target, picture.file, picture.signal, (bytes) => picture.moved('sending', bytes));
      if (picture.signal.aborted) return;
      picture.moved('sent', picture.size);
      this.#hint(picture);
    } catch (error) {
      if (!(error instanceof PutError)) throw error;
      picture.stop(error.message, { canTryAgain: true });
    } finally {
      this.#active -= 1;
      this.#pump();
    }
  }

  /** Spare the wait for the store's own word; nothing is lost if the hint is. */
  async #hint(picture) {
    try {
      picture.take(imageOf((await execute(COMPLETE_UPLOAD, { id: picture.image.id })).completeUpload));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
}

/** Spare the wait until it expires. */
function giveUp({ id }) {
  execute(DELETE_IMAGES, { ids: [id] }).catch(() => {});
}

function describe({ name, type, size }) {
  return { filename: name, contentType: type || 'application/octet-stream', byteSize: Math.min(size, MAX_INT) };
}

/** Given along, it lets a request that may have got through be sent again. */
function randomKey() {
  return crypto.getRandomValues(new Uint32Array(4)).join('-'); // `randomUUID` is for https only
}
