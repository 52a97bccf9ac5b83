// All pictures that the page shows, the latest first.
import { Card } from './card.js';
import { LIST_IMAGES, SHOW_IMAGE } from './documents.js';
import { execute } from './graphql.js';
import { Picture } from './picture.js';

const PAGE = 24;
const LARGEST_PAGE = 100; // the API's

export class Gallery extends EventTarget {
  #list;
  #actions;
  #cards = new Map(); // by picture
  #byId = new Map(); // pictures that the API knows
  #isListed = false; // one page, at least
  #end = null; // the cursor behind the last page
  hasMore = false;

  /** Tells `change` when anything about any picture does. */
  constructor(list, actions) {
    super();
    this.#list = list;
    this.#actions = actions;
  }

  get pictures() {
    return [...this.#cards.keys()];
  }

  /** Show files of this page, before all others. */
  addFiles(files) {
    const pictures = files.map((file) => new Picture({ file }));
    this.#list.prepend(...pictures.map((picture) => this.#show(picture).element));
    this.#changed();
    return pictures;
  }

  /** The API knows this picture from now on. */
  know(picture) {
    this.#byId.set(picture.image.id, picture);
  }

  /** What the API says of its image from now on is not about this picture. */
  forget(picture) {
    if (picture.image) this.#byId.delete(picture.image.id);
  }

  /** Take an image as it is now, be it shown or not. */
  take(image) {
    const known = this.#byId.get(image.id);
    const isOfThisPage = known && known.phase !== 'none';
    if (image.status === 'DELETED' || (image.status === 'EXPIRED' && !isOfThisPage)) {
      this.remove(known);
    } else if (known) {
      known.take(image);
    } else if (!this.hasMore || this.#isAmongShown(image)) {
      this.#place(image);
    }
  }

  remove(picture) {
    const card = this.#cards.get(picture);
    if (!card) return;
    card.leave();
    this.#cards.delete(picture);
    this.forget(picture);
    this.#changed();
  }

  /** For another caller: only files that are on their way stay. */
  clear() {
    for (const picture of this.pictures) if (picture.phase === 'none' || picture.isSettled) this.remove(picture);
    this.#isListed = false;
    this.#end = null;
    this.hasMore = false;
    this.#changed();
  }

  /** Show the next page. @throws {ApiError} */
  async more() {
    const { nodes, pageInfo } = await page(PAGE, this.#end);
    this.#end = pageInfo.endCursor ?? this.#end;
    for (const image of nodes) {
      if (this.#byId.has(image.id)) this.take(image);
      else this.#place(image);
    }
    this.hasMore = pageInfo.hasNextPage;
    this.#isListed = true;
    this.#changed();
  }

  /** Ask for all that is shown once more, after changes may have been missed. @throws {ApiError} */
  async refresh() {
    if (!this.#isListed) return this.more();
    const open = new Set(this.#byId.keys());
    for (let after = null; ; ) {
      const { nodes, pageInfo } = await page(LARGEST_PAGE, after);
      for (const image of nodes) {
        open.delete(image.id);
        this.take(image);
      }
      if (!pageInfo.hasNextPage || open.size === 0) break;
      after = pageInfo.endCursor;
    }
    for (const id of open) this.remove(this.#byId.get(id)); // they are gone
  }

  /** Ask for one image, whose URLs are no longer good; returns all that the API knows of it, or null. */
  async renew(picture) {
    const { image } = await execute(SHOW_IMAGE, { id: picture.image.id });
    if (image === null || image.status === 'DELETED') {
      this.remove(picture);
      return null;
    }
    if (image.version >= picture.image.version) {
      picture.image = image;
      picture.changed();
    }
    return image;
  }

  #show(picture) {
    const card = new Card(picture, this.#actions);
    picture.addEventListener('change', () => this.#changed());
    this.#cards.set(picture, card);
    if (picture.image) this.know(picture);
    return card;
  }

  /** Put a picture that is not of this page where it belongs by its age. */
  #place(image) {
    const older = this.pictures.filter((other) => other.image && other.image.createdAt < image.createdAt);
    older.sort((one, other) => (one.image.createdAt < other.image.createdAt ? 1 : -1));
    const next = older.length > 0 ? this.#cards.get(older[0]).element : null;
    this.#list.insertBefore(this.#show(new Picture({ image })).element, next);
    this.#changed();
  }

  #isAmongShown({ createdAt }) {
    return this.pictures.some(({ image }) => image && image.createdAt <= createdAt);
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

async function page(first, after) {
  return (await execute(LIST_IMAGES, { first, after })).images;
}
