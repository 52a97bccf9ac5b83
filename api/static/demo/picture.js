// One picture: a file of this page on its way, an image that the API knows, or both.

export const AT_REST = new Set(['READY', 'REJECTED', 'FAILED', 'EXPIRED', 'DELETED']);

export class Picture extends EventTarget {
  file = null;
  image = null; // as the API tells it
  phase; // of the file: `waiting`, `sending`, `sent`, `stopped`; `none` if it is not of this page
  sent = 0; // bytes
  problem = null; // why it stopped: a sentence
  canTryAgain = false;
  #leaving = new AbortController();

  /** @param {{file?: File, image?: object}} from either or both */
  constructor({ file = null, image = null }) {
    super();
    this.file = file;
    this.image = image;
    this.phase = file ? 'waiting' : 'none';
  }

  get name() {
    return this.image?.filename ?? this.file.name;
  }

  get size() {
    return this.file?.size ?? this.image.byteSize;
  }

  get status() {
    return this.image?.status ?? null;
  }

  /** Whether nothing more will happen by itself. */
  get isSettled() {
    return this.phase === 'stopped' || AT_REST.has(this.status);
  }

  /** Aborted when nobody wants it any more. */
  get signal() {
    return this.#leaving.signal;
  }

  leave() {
    this.#leaving.abort();
  }

  /** Take the image as it is now, unless it is older than what is known. */
  take(image) {
    if (image.id === this.image?.id && image.version <= this.image.version) return;
    this.image = image;
    this.changed();
  }

  /** Note how far the file has come. */
  moved(phase, sent = this.sent) {
    this.phase = phase;
    this.sent = sent;
    this.problem = null;
    this.changed();
  }

  /** Note that the file goes no further, and why. */
  stop(problem, { canTryAgain }) {
    this.phase = 'stopped';
    this.problem = problem;
    this.canTryAgain = canTryAgain;
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event('change'));
  }
}
