// What a screen reader says, now and then: it could not follow two hundred pictures.

const EVERY = 2_000; // milliseconds

export class Announcer {
  #region;
  #latest = '';
  #timer = null;

  /** @param {HTMLElement} region that is live */
  constructor(region) {
    this.#region = region;
  }

  /** Say this, unless something newer comes soon. */
  say(text) {
    if (text === this.#latest) return;
    this.#latest = text;
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#region.textContent = this.#latest;
    }, EVERY);
  }
}
