// One picture in full: its largest variant, what is known of it, and how long everything took.
import { byId, element } from './dom.js';
import { Surface } from './surface.js';
import { forWindow } from './variants.js';
import { inBytes, inSeconds } from './words.js';

const WHEN = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });

const STEPS = {
  PENDING: 'Target given out',
  UPLOADED: 'Stored',
  PROCESSING: 'Taken by a worker',
  READY: 'Ready',
  REJECTED: 'Rejected',
  FAILED: 'Failed',
};

export class Details {
  #dialog = byId('details');
  #renew;

  /** @param {(picture) => Promise<object | null>} renew asks the API for all that it knows of a picture */
  constructor(renew) {
    this.#renew = renew;
    // A click on what surrounds it closes it, as do its button and Esc.
    this.#dialog.addEventListener('click', ({ target }) => target === this.#dialog && this.#dialog.close());
    byId('close-details').addEventListener('click', () => this.#dialog.close());
  }

  async open(picture) {
    const { image } = picture;
    byId('details-name').textContent = picture.name;
    byId('facts').replaceChildren();
    const variant = forWindow(image);
    const box = element('div', { className: 'large' });
    box.style.setProperty('--ratio', variant.width / variant.height);
    new Surface(box, () => {}).paint(image.placeholder, variant);
    byId('large').replaceChildren(box);
    this.#dialog.showModal();
    const whole = await this.#renew(picture);
    if (whole === null) this.#dialog.close();
    else if (byId('large').contains(box)) byId('facts').replaceChildren(...facts(whole));
  }
}

function facts(image) {
  return [
    heading('Variants'),
    element('ul', { className: 'rows' }, ...image.variants.map(variantRow), originalRow(image)),
    heading('Timeline'),
    element('ol', { className: 'rows' }, ...timelineRows(image)),
    ...aboutCamera(image),
    ...image.notes.map(({ message }) => element('p', { className: 'note', textContent: message })),
  ];
}

function heading(text) {
  return element('h3', { textContent: text });
}

function row(left, right) {
  return element('li', {}, left, element('span', { textContent: right }));
}

function link(text, href) {
  return element('a', { href, target: '_blank', rel: 'noreferrer', textContent: text });
}

function variantRow({ name, format, width, height, byteSize, url }) {
  return row(link(`${name} ${format}`, url), `${width} × ${height} · ${inBytes(byteSize)}`);
}

function originalRow({ original, format, width, height }) {
  return original && variantRow({ name: 'original', format, width, height, ...original });
}

function timelineRows({ timeline }) {
  const began = Date.parse(timeline[0]?.at);
  return timeline.map(({ status, at }, step) => {
    const label = element('span', { textContent: STEPS[status] ?? status });
    return row(label, step === 0 ? WHEN.format(began) : `+ ${inSeconds(Date.parse(at) - began)}`);
  });
}

function aboutCamera({ camera }) {
  if (!camera) return [];
  const known = [camera.make, camera.model, camera.lens, camera.takenAt].filter(Boolean);
  return known.length === 0 ? [] : [heading('Camera'), element('p', { textContent: known.join(' · ') })];
}
