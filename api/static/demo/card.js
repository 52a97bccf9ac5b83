// The card of one picture.
import { element } from './dom.js';
import { Surface } from './surface.js';
import { forTile } from './variants.js';
import { inBytes, isOnTheWay, percent, state } from './words.js';

const PATIENCE = 4_000; // milliseconds for a second thought

const dirty = new Set();

/** Draw once a frame, however often something changes: two hundred files move at once. */
function drawSoon(card) {
  if (dirty.size === 0) {
    requestAnimationFrame(() => {
      const cards = [...dirty];
      dirty.clear();
      for (const each of cards) each.draw();
    });
  }
  dirty.add(card);
}

export class Card {
  #picture;
  #surface;
  #open;
  #progress;
  #state;
  #buttons;

  /** @param {object} actions `open`, `again`, `reprocess`, `remove` and `renew`, each for a picture */
  constructor(picture, actions) {
    this.#picture = picture;
    const { name } = picture;
    this.#open = element('button', {
      type: 'button',
      className: 'picture',
      'aria-label': `Show ${name}`,
      onclick: () => actions.open(picture),
    });
    this.#progress = element('progress', { max: 100, 'aria-label': `${name} is sent` });
    this.#state = element('p', { className: 'state' });
    const button = (text, act) =>
      element('button', { type: 'button', textContent: text, 'aria-label': `${text}: ${name}`, onclick: act });
    this.#buttons = {
      again: button('Try again', () => actions.again(picture)),
      reprocess: button('Develop again', () => actions.reprocess(picture)),
      remove: button('Delete', () => this.#remove(actions)),
    };
    this.element = element(
      'li',
      { className: 'card' },
      element('div', { className: 'frame' }, this.#open, this.#progress),
      element('p', { className: 'name', title: name, textContent: name }),
      this.#state,
      element('div', { className: 'actions' }, ...Object.values(this.#buttons)),
    );
    this.#surface = new Surface(this.#open, () => actions.renew(picture));
    picture.addEventListener('change', () => drawSoon(this));
    this.draw();
  }

  draw() {
    const picture = this.#picture;
    const { image, phase, status } = picture;
    const { text, tone } = state(picture);
    this.element.dataset.tone = tone;
    this.#state.textContent = tone === 'quiet' || tone === 'good' ? `${text} · ${inBytes(picture.size)}` : text;
    this.#progress.hidden = !isOnTheWay(picture);
    this.#progress.value = percent(picture);
    this.#open.disabled = !image || image.variants.length === 0;
    this.#buttons.again.hidden = !(phase === 'stopped' && picture.canTryAgain);
    this.#buttons.reprocess.hidden = !(status === 'READY' || status === 'FAILED');
    if (image) this.#surface.paint(image.placeholder, forTile(image));
  }

  /** What can be seen, and is soon gone for good, is asked for twice. */
  #remove(actions) {
    const button = this.#buttons.remove;
    if (this.#open.disabled || button.textContent !== 'Delete') {
      actions.remove(this.#picture);
      return;
    }
    button.textContent = 'Really delete?';
    button.removeAttribute('aria-label'); // what it says now is what counts
    setTimeout(() => {
      button.textContent = 'Delete';
      button.setAttribute('aria-label', `Delete: ${this.#picture.name}`);
    }, PATIENCE);
  }

  /** The place of the keyboard goes on to a neighbour before the card does. */
  leave() {
    if (this.element.contains(document.activeElement)) {
      const neighbour = this.element.nextElementSibling ?? this.element.previousElementSibling;
      (neighbour?.querySelector('.actions button:not([hidden])') ?? document.getElementById('choose')).focus();
    }
    this.element.remove();
  }
}
