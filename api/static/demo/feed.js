// The feed of all changes of the caller's images, resumed by its cursor.
import { FEED } from './documents.js';
import { SOCKET_ADDRESS } from './graphql.js';
import { connectionPayload, needKey } from './key.js';
import { Subscription } from './subscription.js';

const PATIENCE = 5_000; // milliseconds that an upload waits for the feed

export class Feed extends EventTarget {
  #cursor = null;
  #subscription;
  #isListening = false;

  /**
   * Tells `image` (each with `detail`, as it is now), `anew` (it begins without a cursor: what changed before
   * is not told) and `state` (with `detail`, that of the subscription).
   */
  constructor() {
    super();
    this.#subscription = new Subscription(SOCKET_ADDRESS, {
      operation: () => ({ query: FEED, variables: { after: this.#cursor } }),
      payload: connectionPayload,
      next: ({ feed }) => {
        this.#cursor = feed.cursor;
        this.#tell('image', feed.image);
      },
      refused: (errors) => this.#refused(errors),
      state: (name) => this.#state(name),
    });
  }

  /** Begin, or begin anew for another caller. */
  start() {
    this.#cursor = null;
    this.#subscription.start();
  }

  stop() {
    this.#subscription.stop();
    this.#isListening = false;
  }

  /** Resolves when it listens. Who cannot have it, uploads nevertheless: after a while, it resolves anyway. */
  listening() {
    if (this.#isListening) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, PATIENCE);
      const look = () => {
        if (!this.#isListening) return;
        clearTimeout(timer);
        this.removeEventListener('state', look);
        resolve();
      };
      this.addEventListener('state', look);
    });
  }

  #state(name) {
    this.#isListening = name === 'listening';
    if (name === 'forbidden') needKey();
    if (this.#isListening && this.#cursor === null) this.#tell('anew');
    this.#tell('state', name);
  }

  #refused([{ extensions }]) {
    switch (extensions?.code) {
      case 'CURSOR_TOO_OLD':
        this.#cursor = null;
        return 0;
      case 'RATE_LIMITED':
        return extensions.retryAfter;
      case 'UNAVAILABLE':
        return 2;
      default:
        return null;
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
