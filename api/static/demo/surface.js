// A picture's surface: its colour at once, then its thumbhash, then a variant over both.
import { element } from './dom.js';
import { decodeThumbhash } from './thumbhash.js';
import { locationOf } from './variants.js';

export class Surface {
  #box;
  #renew;
  #painted = null; // the thumbhash
  #canvas = null;
  #image = null;
  #hasFailed = false;

  /**
   * @param {HTMLElement} box is painted
   * @param {() => void} renew asks for new URLs, when the one shown is no longer good
   */
  constructor(box, renew) {
    this.#box = box;
    box.classList.add('surface');
    this.#renew = renew;
  }

  /**
   * @param {{thumbhash: string, dominantColor: string} | null} placeholder
   * @param {{url: string} | null} variant
   */
  paint(placeholder, variant) {
    if (placeholder && placeholder.thumbhash !== this.#painted) {
      this.#painted = placeholder.thumbhash;
      this.#box.style.setProperty('--colour', placeholder.dominantColor); // the policy allows it by script only
      const data = decodeThumbhash(placeholder.thumbhash);
      const canvas = element('canvas', { width: data.width, height: data.height, 'aria-hidden': 'true' });
      canvas.getContext('2d').putImageData(data, 0, 0);
      this.#canvas?.remove();
      this.#canvas = canvas;
      this.#box.prepend(canvas);
    }
    if (variant) this.#show(variant.url);
  }

  #show(url) {
    this.#image ??= this.#newImage();
    // Signed anew, it is the same picture: it is loaded again only if it could not be.
    if (!this.#hasFailed && this.#image.src && locationOf(this.#image.src) === locationOf(url)) return;
    this.#hasFailed = false;
    this.#image.src = url;
  }

  #newImage() {
    let hasRenewed = false;
    const image = element('img', {
      alt: '',
      loading: 'lazy',
      decoding: 'async',
      onload: () => {
        hasRenewed = false;
        this.#box.classList.add('is-shown');
      },
      onerror: () => {
        this.#box.classList.remove('is-shown');
        this.#hasFailed = true;
        if (!hasRenewed) this.#renew();
        hasRenewed = true;
      },
    });
    this.#box.append(image); // over the canvas, which is put before all
    return image;
  }
}
