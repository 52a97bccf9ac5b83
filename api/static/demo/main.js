// The page: files in, pictures out.
import { Announcer } from './announcer.js';
import { Details } from './details.js';
import { DELETE_IMAGES, REPROCESS_IMAGE } from './documents.js';
import { byId } from './dom.js';
import { Feed } from './feed.js';
import { takeFiles } from './files.js';
import { Gallery } from './gallery.js';
import { ApiError, execute, imageOf } from './graphql.js';
import { forgetKey, hasKey, keepKey, keys } from './key.js';
import { Uploads } from './uploads.js';
import { summary } from './words.js';

const CONNECTION = {
  connecting: 'Connecting…',
  listening: 'Live',
  lost: 'Not connected. Trying again…',
  forbidden: 'A key is needed',
  refused: 'No live updates',
};

const feed = new Feed();
const gallery = new Gallery(byId('pictures'), {
  open: (picture) => attempt(() => details.open(picture)),
  again: (picture) => {
    gallery.forget(picture);
    uploads.again(picture);
  },
  reprocess: (picture) => attempt(() => reprocess(picture)),
  remove: (picture) => attempt(() => remove(picture)),
  renew: (picture) => attempt(() => gallery.renew(picture)),
});
const uploads = new Uploads(
  () => feed.listening(),
  (picture) => gallery.know(picture),
);
const details = new Details((picture) => gallery.renew(picture));
const announcer = new Announcer(byId('announcements'));

/** Do what may fail for reasons that are told in words. */
async function attempt(act) {
  try {
    await act();
    byId('alert').textContent = '';
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code !== 'UNAUTHENTICATED') byId('alert').textContent = error.message; // a key is asked for
  }
}

async function reprocess(picture) {
  const { reprocessImage } = await execute(REPROCESS_IMAGE, { id: picture.image.id });
  picture.take(imageOf(reprocessImage));
}

async function remove(picture) {
  if (picture.image) {
    const { deleteImages } = await execute(DELETE_IMAGES, { ids: [picture.image.id] });
    if (deleteImages.results[0].code !== 'NOT_FOUND') imageOf(deleteImages.results[0]);
  }
  picture.leave();
  gallery.remove(picture);
}

let isDrawing = false;
gallery.addEventListener('change', () => {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    const { pictures } = gallery;
    const text = summary(pictures.filter(({ file }) => file));
    byId('summary').textContent = text;
    announcer.say(text);
    byId('empty').hidden = pictures.length > 0;
    byId('more').hidden = !gallery.hasMore;
  });
});

let isLoaded = false;
async function load() {
  await attempt(() => gallery.refresh());
  isLoaded = true;
}

feed.addEventListener('image', ({ detail }) => gallery.take(detail));
feed.addEventListener('anew', load);
feed.addEventListener('state', ({ detail }) => {
  byId('connection').textContent = CONNECTION[detail];
  byId('connection').dataset.state = detail;
  if (detail === 'lost' && !isLoaded) load(); // pictures can be seen without it
});

byId('more').addEventListener('click', () => attempt(() => gallery.more()));
takeFiles((files) => uploads.add(gallery.addFiles(files)));

keys.addEventListener('needed', () => {
  if (!byId('key-form').hidden) return;
  const hint = hasKey() ? 'This key is not known, or no longer.' : 'This server asks who you are.';
  byId('key-hint').textContent = hint;
  byId('key-form').hidden = false;
  byId('key').focus();
});
byId('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  keepKey(byId('key').value);
  byId('key').value = '';
  byId('key-form').hidden = true;
  begin();
});
byId('forget').addEventListener('click', () => {
  forgetKey();
  begin();
});

function begin() {
  byId('forget').hidden = !hasKey();
  gallery.clear();
  feed.start();
}

begin();
