// Thumbhashes (https://evanw.github.io/thumbhash/): a picture as a sum of a few cosine waves.

const SIDE = 32; // pixels of the longer side: the hash has no detail for more

/** The bits of a hash, read from the lowest upwards. */
class Bits {
  #bytes;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  take(count) {
    let value = 0;
    for (let bit = 0; bit < count; bit += 1, this.#at += 1) {
      value |= ((this.#bytes[this.#at >> 3] >> (this.#at & 7)) & 1) << bit;
    }
    return value;
  }
}

/** A channel's waves in the order in which a hash has them: a triangle of low frequencies, without the mean. */
function channel(bits, mean, scale, across, down) {
  const waves = [];
  for (let y = 0; y < down; y += 1) {
    for (let x = y === 0 ? 1 : 0; x * down < across * (down - y); x += 1) {
      waves.push({ x, y, height: 2 * scale * (bits.take(4) / 7.5 - 1) });
    }
  }
  return { mean, waves };
}

/** The cosines of the first `count` frequencies at the middle of each of `pixels`. */
function cosines(pixels, count) {
  return Array.from({ length: pixels }, (_, at) =>
    Array.from({ length: count }, (_, frequency) => Math.cos((Math.PI / pixels) * (at + 0.5) * frequency)),
  );
}

function valueAt({ mean, waves }, columns, rows) {
  return waves.reduce((sum, { x, y, height }) => sum + height * columns[x] * rows[y], mean);
}

/**
 * The picture that a hash describes.
 *
 * @param {string} base64 the hash, as the API gives it
 * @returns {ImageData} at most 32 pixels wide and high
 */
export function decodeThumbhash(base64) {
  const bits = new Bits(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
  const lightMean = bits.take(6) / 63;
  const yellowMean = bits.take(6) / 31.5 - 1;
  const redMean = bits.take(6) / 31.5 - 1;
  const lightScale = bits.take(5) / 31;
  const hasAlpha = bits.take(1) === 1;
  const shorter = bits.take(3);
  const yellowScale = (bits.take(6) / 63) * 1.25;
  const redScale = (bits.take(6) / 63) * 1.25;
  const isLandscape = bits.take(1) === 1;
  const alphaMean = hasAlpha ? bits.take(4) / 15 : 1;
  const alphaScale = hasAlpha ? bits.take(4) / 15 : 0;

  const longer = hasAlpha ? 5 : 7;
  const [across, down] = isLandscape ? [longer, shorter] : [shorter, longer];
  const light = channel(bits, lightMean, lightScale, Math.max(3, across), Math.max(3, down));
  const yellow = channel(bits, yellowMean, yellowScale, 3, 3);
  const red = channel(bits, redMean, redScale, 3, 3);
  const alpha = hasAlpha ? channel(bits, alphaMean, alphaScale, 5, 5) : { mean: 1, waves: [] };

  const width = Math.max(1, Math.round(SIDE * Math.min(1, across / down)));
  const height = Math.max(1, Math.round(SIDE * Math.min(1, down / across)));
  const columns = cosines(width, 7);
  const rows = cosines(height, 7);
  const picture = new ImageData(width, height);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 4) {
      const l = valueAt(light, columns[x], rows[y]);
      const p = valueAt(yellow, columns[x], rows[y]);
      const q = valueAt(red, columns[x], rows[y]);
      const blue = l - (2 / 3) * p;
      const r = (3 * l - blue + q) / 2;
      picture.data.set([r, r - q, blue, valueAt(alpha, columns[x], rows[y])].map((value) => 255 * value), at);
    }
  }
  return picture;
}
