// A subscription over graphql-transport-ws that survives lost connections.
// https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
import { backoff } from './waiting.js';

const FORBIDDEN = 4403; // closes a websocket of somebody who is not known, or no longer
const PING_EVERY = 20_000; // milliseconds; a connection can be dead without anybody having said so
const MESSAGE_WITHIN = 10_000;
const ID = '1';

export class Subscription {
  #address;
  #handlers;
  #socket = null;
  #failures = 0;
  #listening = false;
  #waits = false;
  #retry; // timers
  #ping;
  #silence;

  /**
   * @param {URL} address of the websocket
   * @param {object} handlers
   *   operation() the `query` and `variables` to subscribe to, asked for at each connection;
   *   payload() what `connection_init` says;
   *   next(data) takes an event;
   *   refused(errors) in how many seconds to try again, null for not at all;
   *   state(name) hears `connecting`, `listening`, `lost`, `forbidden` or `refused`.
   */
  constructor(address, handlers) {
    this.#address = address;
    this.#handlers = handlers;
    window.addEventListener('online', () => this.#hurry());
    window.addEventListener('offline', () => this.#listening && this.#askForSign());
    document.addEventListener('visibilitychange', () => this.#hurry());
  }

  /** Connect, or connect anew. */
  start() {
    this.stop();
    this.#handlers.state('connecting');
    const socket = new WebSocket(this.#address, 'graphql-transport-ws');
    this.#socket = socket;
    socket.onopen = () => this.#send({ type: 'connection_init', payload: this.#handlers.payload() });
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code }) => this.#closed(code);
    this.#expectMessage();
  }

  stop() {
    clearTimeout(this.#retry);
    clearInterval(this.#ping);
    clearTimeout(this.#silence);
    this.#listening = false;
    this.#waits = false;
    if (this.#socket === null) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000);
    this.#socket = null;
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #receive(message) {
    clearTimeout(this.#silence);
    switch (message.type) {
      case 'connection_ack':
        this.#send({ id: ID, type: 'subscribe', payload: this.#handlers.operation() });
        this.#askForSign(); // its answer comes behind the subscription
        this.#ping = setInterval(() => this.#askForSign(), PING_EVERY);
        break;
      case 'pong':
        if (!this.#listening) this.#handlers.state('listening');
        this.#listening = true;
        this.#failures = 0;
        break;
      case 'ping':
        this.#send({ type: 'pong' });
        break;
      case 'next':
        if (message.payload.errors) this.#refused(message.payload.errors);
        else this.#handlers.next(message.payload.data);
        break;
      case 'error':
        this.#refused(message.payload);
        break;
      case 'complete':
        this.#lost();
        break;
    }
  }

  #askForSign() {
    this.#send({ type: 'ping' });
    this.#expectMessage();
  }

  #expectMessage() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost(), MESSAGE_WITHIN);
  }

  #closed(code) {
    if (code === FORBIDDEN) {
      this.stop();
      this.#handlers.state('forbidden');
    } else {
      this.#lost();
    }
  }

  #refused(errors) {
    this.stop();
    const seconds = this.#handlers.refused(errors);
    if (seconds === null) this.#handlers.state('refused');
    else this.#retry = setTimeout(() => this.start(), 1000 * seconds);
  }

  #lost() {
    this.stop();
    this.#failures += 1;
    this.#waits = true;
    this.#handlers.state('lost');
    this.#retry = setTimeout(() => this.start(), backoff(this.#failures));
  }

  /** What was waited for may be there: a network, or somebody who looks. */
  #hurry() {
    if (this.#waits && document.visibilityState === 'visible') this.start();
  }
}
