// Which of an image's variants to show.

const WIDE_ENOUGH = 480; // pixels, for a tile on a screen with two of its own for each

/** For a tile: the smallest that is wide enough, or else the widest so far; null if there is none yet. */
export function forTile(image) {
  const byWidth = widest(image);
  return byWidth.findLast(({ width }) => width >= WIDE_ENOUGH) ?? byWidth[0] ?? null;
}

/** For the whole window: the widest. */
export function forWindow(image) {
  return widest(image)[0] ?? null;
}

/** In the encoding of the first, the widest first: the others show the same. */
function widest({ variants }) {
  const alike = variants.filter(({ format }) => format === variants[0].format);
  return alike.sort((one, other) => other.width - one.width);
}

/** What stays the same of a presigned URL when it is signed anew. */
export function locationOf(url) {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
